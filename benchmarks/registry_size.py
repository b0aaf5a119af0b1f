"""Time of the registry's commands as it grows: `check`, `list`, `report`, one model's command, and builds of nothing.

    python -m benchmarks.registry_size WORK [--sizes 1 10 100 1000] [--rows check list report …]
    python -m benchmarks.registry_size WORK --layouts 300

Each size is a project of its own below WORK: as many copies of one tiny checkpoint, with everything that `pack` and
`report` read made up, and a dvc.lock that says that it is up to date. So nothing is built, and what is timed is what
every command pays for the number of models. Projects that are there are used again. Seconds are wall time, and CPU
time of the process and its children.
"""

import argparse
import contextlib
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from stages.fleet.lock_blocks import of_models, parse_block, read_blocks
from tests.stages import project
from tests.stages.checkpoints import STORED
from tests.stages.fabricated import Fabricated, add_host

FIRST = "m0000"
SLOW = 60.0  # seconds: what takes longer is timed once
REPORT = "report"


def slugs(size: int) -> list[str]:
    """The models' names."""
    return [f"m{i:04}" for i in range(size)]


def make(root: Path, size: int) -> None:
    """A project of that many models that are built, as far as DVC can tell."""
    if (root / "dvc.lock").exists():
        return
    shutil.rmtree(root, ignore_errors=True)
    project.make_project(root, {FIRST: STORED})
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    project.dvc(root, "init", "-q")
    for key in ("core.analytics", "core.check_update"):
        project.dvc(root, "config", key, "false")
    _fabricate(root)
    done = project.dvc(root, "commit", "--force", "--quiet")
    assert done.returncode == 0, done.stdout + done.stderr
    for slug in slugs(size)[1:]:
        _copy(root, slug)
    entry = {"task": "text-ranking", "license": "mit"}
    models = {slug: {"source": {"path": f"checkpoints/{slug}"}} | entry for slug in slugs(size)}
    project.write_yaml(root / "registry/models.yaml", {"models": models})
    _write_lock(root, size)
    (root / ".gitignore").write_text("/artifacts/\n/dist/\n__pycache__/\n/.dvc/site\n")
    subprocess.run(["git", "add", "."], cwd=root, check=True)
    subprocess.run([*git, "commit", "-qm", "Built"], cwd=root, check=True)


def _fabricate(root: Path) -> None:
    from stages.cli import main

    environment = dict(os.environ)
    with contextlib.chdir(root), contextlib.redirect_stdout(sys.stderr):
        Fabricated().write(root, STORED, FIRST)
        assert main(["host"]) == 0
        for stage in ("fetch", "data"):
            assert main([stage, FIRST]) == 0
        Fabricated().write(root, STORED, FIRST)
        add_host(FIRST, "intel-other-avx512_vnni-8c", ("onnx", "openvino-qint8"), 3.0)
        Path("registry/parity", FIRST).mkdir(parents=True)
        Path("registry/parity", FIRST, "intel-other-avx512_vnni-8c.json").write_text("[]\n")
        assert main(["host"]) == 0
        for arguments in (["pack", FIRST], ["publish", FIRST], [REPORT]):
            assert main(arguments) == 0
        for stage in (*project.BUILDING_STAGES, *project.PROVING_STAGES, "benchmark"):
            path = Path("reports/resources", FIRST, f"{stage}.json")
            if not path.exists():
                path.write_text('{"peak_memory_mb": 1, "seconds": 0.1}\n')
    os.environ.clear()
    os.environ.update(environment)


def _copy(root: Path, slug: str) -> None:
    for folder in ("checkpoints", "artifacts/models", "artifacts/packages", "dist/artificer", "reports/resources"):
        shutil.copytree(root / folder / FIRST, root / folder / slug)
    for folder in ("registry/benchmarks", "registry/parity"):
        shutil.copytree(root / folder / FIRST, root / folder / slug)
    for folder in ("registry/locks", "registry/receipts", "reports/metrics"):
        text = (root / folder / f"{FIRST}.json").read_text()
        (root / folder / f"{slug}.json").write_text(text.replace(FIRST, slug))


def _write_lock(root: Path, size: int) -> None:
    """dvc.lock of all models, from that of the first: the copies have the same bytes."""
    loader = yaml.CSafeLoader
    text = yaml.dump(yaml.load((root / "dvc.lock").read_text(), loader), Dumper=yaml.CSafeDumper, sort_keys=False)
    stages = yaml.load(text, loader)["stages"]
    found: dict[str, Any] = {}
    by_model: dict[str, list[Any]] = {}
    for slug in slugs(size):
        own = {
            name.replace(FIRST, slug): json.loads(json.dumps(stage).replace(FIRST, slug))
            for name, stage in stages.items()
            if name.endswith(f"@{FIRST}")
        }
        found |= own
        by_model[slug] = [*own.values()]
    for slug in slugs(size):
        for path in (f"registry/locks/{slug}.json", f"registry/receipts/{slug}.json"):
            _correct(root, by_model[slug], path)
    found |= {name: stage for name, stage in stages.items() if "@" not in name}
    lock = {"schema": "2.0", "stages": found}
    (root / "dvc.lock").write_text(yaml.dump(lock, Dumper=yaml.CSafeDumper, sort_keys=False))


def _correct(root: Path, stages: list[Any], path: str) -> None:
    """The hash and size of a file that differs from model to model."""
    import hashlib

    data = (root / path).read_bytes()
    for stage in stages:
        for entry in (*stage.get("deps", ()), *stage.get("outs", ())):
            if entry["path"] == path:
                entry |= {"md5": hashlib.md5(data, usedforsecurity=False).hexdigest(), "size": len(data)}


ROWS: dict[str, list[str]] = {
    "check": ["-m", "stages", "check"],
    "list": ["-m", "stages", "list"],
    "report": ["-m", "stages", "report"],
    "one model: pack": ["-m", "stages", "pack", FIRST],
    "build": ["-m", "stages", "build"],
    "build one": ["-m", "stages", "build", FIRST],
    "dvc status": ["-m", "dvc", "status"],
    "dvc repro": ["-m", "dvc", "repro"],
    "dvc repro publish@one": ["-m", "dvc", "repro", f"publish@{FIRST}"],
}


ONE_FILE = {
    "dvc status": ["-m", "dvc", "status"],
    f"dvc repro --single-item pack@{FIRST}": ["-m", "dvc", "repro", "--single-item", f"pack@{FIRST}"],
    f"dvc repro pack@{FIRST}": ["-m", "dvc", "repro", f"pack@{FIRST}"],
}
PLACE = f"pipelines/{FIRST}/dvc.yaml"
FILE_EACH = {
    "dvc status": ["-m", "dvc", "status"],
    f"dvc repro --single-item {PLACE}:pack": ["-m", "dvc", "repro", "--single-item", f"{PLACE}:pack"],
    f"dvc status {PLACE}": ["-m", "dvc", "status", PLACE],
    f"dvc repro {PLACE}:pack": ["-m", "dvc", "repro", f"{PLACE}:pack"],
}
WORKSPACES = {
    "python -m stages build": ["-m", "stages", "build"],
    f"python -m stages build {FIRST}": ["-m", "stages", "build", FIRST],
}


def timed(root: Path, arguments: list[str], limit: float) -> tuple[float, float, int]:
    """Wall and CPU seconds of a command, and its exit code."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    with tempfile.TemporaryFile() as out:
        try:
            done = subprocess.run(
                [sys.executable, *arguments],
                cwd=root,
                env=project.environment(root),
                stdout=out,
                stderr=subprocess.STDOUT,
                timeout=limit,
                check=False,
            )
            code = done.returncode
        except subprocess.TimeoutExpired:
            code = 124
        if code:
            out.seek(0)
            print(out.read()[-2000:].decode(), file=sys.stderr)
    wall = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, code


def split(root: Path, size: int) -> None:
    """Replace the project's dvc.yaml by one for each model, and dvc.lock likewise."""
    pipeline = project.read_yaml(root / "dvc.yaml")
    blocks = of_models(read_blocks(root / "dvc.lock"))
    for slug in slugs(size):
        folder = root / "pipelines" / slug
        folder.mkdir(parents=True)
        stages: dict[str, Any] = {}
        locks: dict[str, Any] = {}
        for name, stage in pipeline["stages"].items():
            if "foreach" in stage:
                text = re.sub(r"\$\{key\}", slug, yaml.safe_dump(stage["do"]))
                stages[name] = {"wdir": "../..", **yaml.safe_load(text)}
                locks[name] = parse_block(blocks[slug][f"{name}@{slug}"])
        project.write_yaml(folder / "dvc.yaml", {"stages": stages})
        project.write_yaml(folder / "dvc.lock", {"schema": "2.0", "stages": locks})
    once = {name: stage for name, stage in pipeline["stages"].items() if "foreach" not in stage}
    project.write_yaml(root / "dvc.yaml", {"stages": once})
    lock = {name: parse_block(block) for name, block in read_blocks(root / "dvc.lock").items() if name in once}
    project.write_yaml(root / "dvc.lock", {"schema": "2.0", "stages": lock})


def layouts(work: Path, size: int, limit: float) -> None:
    """Workspaces, a dvc.yaml for each model, and one dvc.yaml: what finding nothing to do costs."""
    root = work / str(size)
    make(root, size)
    other = root.with_name(f"{size}-files")
    if not other.exists():
        shutil.copytree(root, other, symlinks=True)
        split(other, size)
    print(f"| {size} models | command | seconds | CPU seconds |\n|---|---|---:|---:|")
    for layout, folder, rows in (
        ("workspaces", root, WORKSPACES),
        ("a file each", other, FILE_EACH),
        ("one file", root, ONE_FILE),
    ):
        for name, arguments in rows.items():
            first = timed(folder, arguments, limit)  # fills caches of file hashes
            _say(layout, f"`{name}`", timed(folder, arguments, limit) if first[0] < SLOW else first)
        params = folder / "params.yaml"
        before = params.read_text()
        params.write_text(before.replace("install: null", "install: git+https://example.org/acme/artificer"))
        assert params.read_text() != before
        _say(layout, f"the same of {FIRST}, where `pack` has to run", timed(folder, [*rows.values()][1], limit))
        params.write_text(before)


def _say(layout: str, name: str, found: tuple[float, float, int]) -> None:
    wall, cpu, code = found
    print(f"| {layout} | {name} | {wall:.1f} | {cpu:.1f} |" + f" exit {code}" * bool(code), flush=True)


def main() -> None:
    """A line for each size and command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 10, 100, 1000])
    parser.add_argument("--rows", nargs="+", default=list(ROWS))
    parser.add_argument("--limit", type=float, default=600, help="seconds for one command")
    parser.add_argument("--layouts", type=int, metavar="MODELS", help="compare three layouts instead")
    given = parser.parse_args()
    if given.layouts:
        layouts(given.work.resolve(), given.layouts, given.limit)
        return
    print("| models | command | seconds | CPU seconds |\n|---:|---|---:|---:|")
    for size in given.sizes:
        root = given.work.resolve() / str(size)
        make(root, size)
        for name in given.rows:
            timed(root, ROWS[name], given.limit)  # fills caches of file hashes
            wall, cpu, code = timed(root, ROWS[name], given.limit)
            print(f"| {size:,} | `{name}` | {wall:.1f} | {cpu:.1f} |" + f" exit {code}" * bool(code), flush=True)


if __name__ == "__main__":
    main()
