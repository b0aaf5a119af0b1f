"""The workflow files: linted, pinned, and run step by step with a real git remote and a real DVC remote in folders."""

import json
import os
import re
import shutil
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.hub_publish import tiny
from tests.hub_publish.test_sources import DEMO, checkpoint
from tests.updates.workflow import WORKFLOWS, run_job
from tools.loopback_hub import Hub, running_hub

SOURCE = "acme/base"

# The pipeline in small: `fetch` and `publish` are the real stages, a script stands in for the toolchain.
DVC = """
vars: [registry/models.yaml]
stages:
  fetch:
    foreach: ${models}
    do:
      cmd: python -m stages fetch ${key}
      deps: ["registry/locks/${key}.json"]
      params: [{registry/models.yaml: ["models.${key}"]}]
      outs: ["artifacts/models/${key}/source", "artifacts/models/${key}/spec.json"]
  pack:
    foreach: ${models}
    do:
      cmd: python pack.py ${key}
      deps: ["artifacts/models/${key}/source", pack.py]
      params: [parity.rows]
      outs:
        - artifacts/models/${key}/published
        - artifacts/models/${key}/variants/export
        - artifacts/packages/${key}
  publish:
    foreach: ${models}
    do:
      cmd: python -m stages publish ${key}
      deps:
        - artifacts/models/${key}/variants/export
        - artifacts/models/${key}/published
        - artifacts/packages/${key}
      params: [publish, {registry/models.yaml: ["models.${key}"]}]
      outs: [{"registry/receipts/${key}.json": {cache: false, persist: true}}]
  report:
    cmd: python report.py
    deps: [artifacts/packages]
    outs: [reports/site, {reports/leaderboard.md: {cache: false}}]
metrics: [reports/metrics]
"""
REPORT = """
import pathlib

for name in ("leaderboard.md", "site/index.html"):
    path = pathlib.Path("reports", name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("all")
"""
PACK = """
import json, pathlib, shutil, sys
from tests.hub_publish import tiny

root = pathlib.Path.cwd()
source = root / "artifacts/models" / sys.argv[1] / "source"
seed = len((source / "config.json").read_bytes())
shutil.rmtree(root / "artifacts/models" / sys.argv[1] / "variants/export", ignore_errors=True)
tiny.build(root, slug=sys.argv[1], variants=("onnx",), seeds={"onnx": seed}, keep_source=True)
metrics = root / "reports/metrics"
metrics.mkdir(parents=True, exist_ok=True)
(metrics / f"{sys.argv[1]}.json").write_text(json.dumps({"seed": seed}))
"""


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    """A Hub with a source; the steps know it from their environment."""
    with running_hub(tmp_path / "hub") as running:
        running.store.create_repo(SOURCE)
        running.store.commit(SOURCE, checkpoint())
        yield running


@pytest.fixture
def environment(hub: Hub, tmp_path: Path) -> dict[str, str]:
    """What every step finds: this interpreter, the Hub, an author, and no token."""
    found = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGING", "GIT_"))}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    found |= hub.client_env(tmp_path / "home") | {"PATH": path, "PYTHONPATH": str(tiny.REPOSITORY)}
    del found["HF_HUB_DISABLE_IMPLICIT_TOKEN"]
    names = {
        f"GIT_{who}_{what}": "somebody@example.com" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    settings = {"GIT_CONFIG_GLOBAL": os.devnull, "HOME": str(tmp_path / "home"), "DVC_NO_ANALYTICS": "1"}
    return found | names | settings | {"DVC_SITE_CACHE_DIR": str(tmp_path / "dvc-site")}


@pytest.fixture
def values(hub: Hub, tmp_path: Path) -> dict[str, str]:
    """What GitHub would fill in."""
    return {
        "secrets.HF_READ_TOKEN": hub.tokens.read.value,
        "secrets.HF_WRITE_TOKEN": hub.tokens.write.value,
        "vars.DVC_REMOTE_URL": str(tmp_path / "dvc-remote"),
        "github.token": "ghs_secretsecretsecret",
    }


def run(folder: Path, environment: dict[str, str], *commands: str) -> str:
    """Shell commands that must succeed."""
    printed = ""
    for command in commands:
        done = subprocess.run(
            command, shell=True, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, command + done.stdout + done.stderr
        printed += done.stdout
    return printed


@pytest.mark.toolchain
def test_a_source_moves(hub: Hub, tmp_path: Path, environment: dict[str, str], values: dict[str, str]) -> None:
    """A source moves, the schedule proposes a build of it, a merge makes it the lock's, a publish puts it on the Hub;
    and no token is left in anything that this made."""
    origin, first = tmp_path / "origin.git", tmp_path / "first"
    make_project(first)
    run(
        first,
        environment,
        f"git init --quiet --bare --initial-branch main {origin}",
        "git init --quiet --initial-branch main && dvc init --quiet",
        f"python -m stages add {SOURCE} --slug base --license mit",
        f"dvc remote add --local --default ci {values['vars.DVC_REMOTE_URL']}",
        "dvc repro --quiet report && python -m stages push",
        f"git add . && git commit --quiet --message First && git remote add origin {origin}",
        "git push --quiet --set-upstream origin main",
    )
    hub.store.commit(SOURCE, {"config.json": checkpoint()["config.json"] + b"\n"}, message="Better labels")

    clone(origin, tmp_path / "second", environment)
    ran, printed = run_job("update", "update", tmp_path / "second", environment, values)
    assert ran == ["Update", "Pull what was built before", "Build", "Push what was built", "Propose"]
    assert "Better labels" in printed
    assert "  ~ config.json" in printed
    assert re.search(r"reports/metrics/base.json +\| seed +\| \d+ +\| \d+ +\| 1", printed), printed
    assert "pr create --head update/sources --title Update the sources" in printed

    clone(origin, tmp_path / "again", environment)
    _, printed = run_job("update", "update", tmp_path / "again", environment, values)
    assert "Running stage 'fetch" not in printed, "the clone before pushed it, and its branch is not merged"
    assert "Running stage 'pack" not in printed
    assert "Running stage 'report" in printed

    clone(origin, tmp_path / "third", environment)
    run(tmp_path / "third", environment, "git merge --quiet origin/update/sources && git push --quiet origin main")
    lock = json.loads((tmp_path / "third" / "registry/locks/base.json").read_text())
    assert lock["revision"] == hub.store.head(SOURCE)
    publishing = {"publish": {"target": "hub"}}
    edit(tmp_path / "third" / "params.yaml", publishing)
    run(tmp_path / "third", environment, "git commit --quiet --all --message Target && git push --quiet origin main")

    clone(origin, tmp_path / "fourth", environment)
    ran, printed = run_job("publish", "publish", tmp_path / "fourth", environment, values)
    assert ran == ["Pull what was built", "Publish", "Propose the receipts"]
    receipt = json.loads((tmp_path / "fourth" / "registry/receipts/base.json").read_text())
    assert receipt["commit"] == hub.store.head("acme/tiny")
    assert hub.store.read("acme/tiny", "config.json") == checkpoint()["config.json"] + b"\n"
    clone(origin, tmp_path / "fifth", environment)
    run(tmp_path / "fifth", environment, "git merge --quiet origin/publish/receipts")
    ran, printed = run_job("ci", "lock", tmp_path / "fifth", environment, values)
    assert ran == ["Check the registry", "Check the lock"]
    ran, _ = run_job("pages", "pages", tmp_path / "fifth", environment, values)
    assert ran == ["Pull the site"]
    assert (tmp_path / "fifth" / "reports/site/index.html").read_text() == "all"
    ran, _ = run_job("update", "update", tmp_path / "fifth", environment, values)
    assert ran == ["Update"]
    secrets = [value.encode() for name, value in values.items() if not name.startswith("vars.")]
    assert find(tmp_path, secrets) == []


@pytest.mark.toolchain
def test_a_stale_lock(tmp_path: Path, environment: dict[str, str], values: dict[str, str]) -> None:
    """The check of CI fails when something changed without a `dvc repro`."""
    make_project(tmp_path / "stale")
    run(
        tmp_path / "stale",
        environment,
        "git init --quiet && dvc init --quiet",
        f"python -m stages add {SOURCE} --slug base --license mit",
    )
    with pytest.raises(AssertionError, match=r"dvc\.lock is older than what it locks"):
        run_job("ci", "lock", tmp_path / "stale", environment, values)


@pytest.mark.parametrize("path", sorted(WORKFLOWS.glob("*.yml")), ids=lambda path: path.stem)
def test_pinned_and_least(path: Path) -> None:
    """Every action is pinned by commit; no right is given to a whole workflow; checkouts keep no credentials."""
    workflow: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert workflow["permissions"] == {}
    text = path.read_text(encoding="utf-8")
    for job in workflow["jobs"].values():
        assert "permissions" in job
        for step in job["steps"]:
            if "uses" in step:
                assert re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", step["uses"])
                assert "checkout" not in step["uses"] or step["with"]["persist-credentials"] is False
            assert "${{" not in step.get("run", ""), "values go through the environment"
    assert ("HF_WRITE_TOKEN" in text) == (path.stem == "publish")


@pytest.mark.skipif(shutil.which("zizmor", path=str(Path(sys.executable).parent)) is None, reason="zizmor is not there")
def test_lint() -> None:
    """zizmor, which knows what goes wrong in workflows, finds nothing."""
    command = [str(Path(sys.executable).parent / "zizmor"), "--offline", "--persona", "pedantic", str(WORKFLOWS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def make_project(folder: Path) -> None:
    """An empty registry and the pipeline in small."""
    tiny.make_project(folder, settings={"target": "folder"})
    tiny.write_yaml(folder / "registry" / "models.yaml", {"models": {}})
    (folder / "registry" / "demo").mkdir(exist_ok=True)
    for path in (tiny.REPOSITORY / "registry" / "demo").glob("*.jsonl"):
        shutil.copy(path, folder / "registry" / "demo")
    for path in (folder / "registry" / "locks").iterdir():
        if path.stem != "data-sets":
            path.unlink()
    (folder / "reports").mkdir()
    (folder / "dvc.yaml").write_text(DVC)
    (folder / "pack.py").write_text(PACK)
    (folder / "report.py").write_text(REPORT)
    (folder / ".gitignore").write_text("/artifacts/\n/dist/\n__pycache__/\n/update.txt\n/body.md\n/would-run.txt\n")
    assert DEMO.is_dir()


def clone(origin: Path, folder: Path, environment: dict[str, str]) -> None:
    """A fresh clone, as a runner makes one."""
    run(folder.parent, environment, f"git clone --quiet {origin} {folder}")


def edit(path: Path, changes: dict[str, dict[str, Any]]) -> None:
    """Change keys of a YAML file's sections."""
    value = yaml.safe_load(path.read_text(encoding="utf-8"))
    for section, keys in changes.items():
        value[section] |= keys
    tiny.write_yaml(path, value)


def find(folder: Path, secrets: list[bytes]) -> list[str]:
    """Files below `folder` that hold one of the secrets; git's objects are unpacked first."""
    found = []
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            data = path.read_bytes()
            if "objects" in path.parts and re.fullmatch("[0-9a-f]{38}", path.name):
                data = zlib.decompress(data)
            if any(secret in data for secret in secrets):
                found.append(str(path))
    return found
