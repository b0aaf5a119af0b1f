"""A project of many models whose stages are cut to the least: shell commands on files of a few bytes."""

import subprocess
from pathlib import Path
from typing import Any

from tests.stages import project

PIPELINE = """
vars: [registry/models.yaml]
stages:
  host:
    cmd: python -m stages host
    outs: [artifacts/host.json: {cache: false}]
  fetch:
    foreach: ${models}
    do:
      cmd: sh code/work fetch ${key}
      deps: ["registry/locks/${key}.json", code]
      params: [registry/models.yaml: ["models.${key}"]]
      outs: ["artifacts/models/${key}/source"]
  export:
    foreach: ${models}
    do:
      cmd: sh code/work export ${key}
      deps: ["artifacts/models/${key}/source", code]
      params: [parity.rows]
      outs: ["artifacts/models/${key}/variants/export"]
  optimize:
    foreach: ${models}
    do:
      cmd: sh code/work optimize ${key}
      deps: ["artifacts/models/${key}/variants/export", code]
      outs: ["artifacts/models/${key}/variants/optimize"]
  benchmark:
    foreach: ${models}
    do:
      cmd: sh code/work benchmark ${key}
      deps: [artifacts/host.json, "artifacts/models/${key}/variants", code]
      outs: ["artifacts/models/${key}/benchmark.json": {persist: true}]
  pack:
    foreach: ${models}
    do:
      cmd: sh code/work pack ${key}
      deps: [
        "artifacts/models/${key}/benchmark.json", "artifacts/models/${key}/variants", code,
        "registry/benchmarks/${key}"]
      outs: ["artifacts/packages/${key}"]
  publish:
    foreach: ${models}
    do:
      cmd: sh code/work publish ${key}
      deps: ["artifacts/packages/${key}", "artifacts/models/${key}/variants", code]
      outs: ["registry/receipts/${key}.json": {cache: false, persist: true}]
  report:
    cmd: sh code/work report all
    deps: [artifacts/packages, code]
    params: [registry/models.yaml: [models]]
    outs: [reports/leaderboard.md: {cache: false}]
metrics: [reports/metrics]
"""
WORK = """
set -eu
stage=$1 key=$2 model=artifacts/models/$2
echo "$stage $key $$" >> "$(cat code/log-path)"
if [ -f "$(cat code/log-path).slow" ] && [ "$stage" != report ]; then sleep "$(cat "$(cat code/log-path).slow")"; fi
case $stage in
  fetch) mkdir -p $model; cp -r checkpoints/$key $model/source ;;
  export) mkdir -p $model/variants/export; cp $model/source/text $model/variants/export/a ;;
  optimize) mkdir -p $model/variants/optimize; sort $model/variants/export/a > $model/variants/optimize/b
     if grep -q broken $model/variants/optimize/b; then echo "this model is broken" >&2; exit 3; fi ;;
  benchmark) cat $model/variants/*/* > $model/benchmark.json; mkdir -p registry/benchmarks/$key
     cp $model/benchmark.json registry/benchmarks/$key/here.json ;;
  pack) mkdir -p artifacts/packages/$key reports/metrics
     cat $model/benchmark.json > artifacts/packages/$key/manifest.json
     echo '{"passed": 1}' > reports/metrics/$key.json ;;
  publish) mkdir -p dist/$key registry/receipts; cp -r artifacts/packages/$key/. dist/$key
     cat $model/variants/*/* > /dev/null; echo '{}' > registry/receipts/$key.json ;;
  report) mkdir -p reports; ls artifacts/packages > reports/leaderboard.md ;;
esac
"""
STAGES = ("fetch", "export", "optimize", "benchmark", "pack")


def slugs(count: int) -> list[str]:
    """The models' names."""
    return [f"m{i:04}" for i in range(count)]


def make(root: Path, count: int, *, broken: tuple[str, ...] = (), remote: Path | None = None) -> Path:
    """The project, with its models pinned, in git and in DVC."""
    from artificer.manifest import canonical_json, describe_file
    from stages.registry.model_list import Lock

    project.make_registry(root)
    for name in ("stages", "src"):
        (root / name).symlink_to(project.REPOSITORY / name)
    for name in (".dvcignore", "constraints.txt"):
        (root / name).write_text((project.REPOSITORY / name).read_text())
    (root / "code").mkdir()
    (root / "code" / "work").write_text(WORK)
    (root / "code" / "log-path").write_text(str(root.resolve().parent / "ran.txt"))
    (root / "dvc.yaml").write_text(PIPELINE)
    models: dict[str, Any] = {}
    for slug in slugs(count):
        folder = root / "checkpoints" / slug
        folder.mkdir(parents=True)
        (folder / "text").write_text("broken\n" if slug in broken else f"a text of {slug}\n")
        models[slug] = {"source": {"path": f"checkpoints/{slug}"}, "task": "text-ranking", "license": "mit"}
        lock = Lock(location=f"checkpoints/{slug}", revision=None, files=(describe_file(folder, "text"),))
        (root / "registry" / "locks" / f"{slug}.json").write_bytes(canonical_json(lock))
        (root / "registry" / "benchmarks" / slug).mkdir(parents=True)
        (root / "registry" / "benchmarks" / slug / "other.json").write_text("{}\n")
    (root / "reports" / "metrics").mkdir(parents=True)
    project.write_yaml(root / "registry" / "models.yaml", {"models": models})
    (root / ".gitignore").write_text("/artifacts/\n/dist/\n__pycache__/\n/.dvc/site\n/stages\n/src\n")
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    commands = [["init", "-q"], ["config", "core.analytics", "false"], ["config", "core.check_update", "false"]]
    if remote is not None:
        commands.append(["remote", "add", "-q", "-d", "folder", str(remote.resolve())])
    for command in commands:
        done = project.dvc(root, *command)
        assert done.returncode == 0, done.stderr
    return root


def ran(root: Path) -> list[str]:
    """The stages that were executed, as `stage slug`, in order; and forgets them."""
    path = root.resolve().parent / "ran.txt"
    found = [" ".join(line.split()[:2]) for line in path.read_text().splitlines()] if path.exists() else []
    path.unlink(missing_ok=True)
    return found


def slow(root: Path, seconds: float) -> None:
    """Make every stage take that long."""
    path = root.resolve().parent / "ran.txt.slow"
    if seconds:
        path.write_text(str(seconds))
    else:
        path.unlink(missing_ok=True)


def command(root: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """`python -m stages …`."""
    import sys

    environment = {**project.environment(root), **settings}
    return subprocess.run(
        [sys.executable, "-m", "stages", *arguments], cwd=root, env=environment, capture_output=True, text=True,
        timeout=300, check=False,
    )  # fmt: skip
