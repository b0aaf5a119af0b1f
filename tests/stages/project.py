"""A project of its own in a temporary folder: the repository's pipeline, a tiny checkpoint, a few pairs."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import yaml

from stages import pipeline

REPOSITORY = Path(__file__).resolve().parents[2]
DEMO = REPOSITORY / "registry" / "demo"
SLUG = "tiny"
_MEASURED = [row.name for row in pipeline.STAGES if row.measured]
BUILDING_STAGES = tuple(_MEASURED[: _MEASURED.index("parity")])
PROVING_STAGES = ("parity", "evaluate")
# What random weights of this size reach; the thresholds of params.yaml are for trained models.
LOOSE: dict[str, dict[str, float | None]] = {
    "fp32": {"score_max_abs": 1e-4, "score_mean_abs": 1e-5},
    "gelu-approximation": {"score_max_abs": 0.1, "score_mean_abs": 0.05},
    "half": {"score_max_abs": 0.1, "score_mean_abs": 0.05},
    "int8": {"score_max_abs": 1.0, "score_mean_abs": 1.0},
}
_UNJUDGED = {"spearman": None, "top_k_overlap": None, "quality_ratio": None}


def environment(root: Path) -> dict[str, str]:
    """The environment of a command in the project at `root`: this interpreter, the project's own code, offline."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {
        **os.environ,
        "PATH": path,
        "PYTHONPATH": os.pathsep.join([str(root), str(root / "src")]),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "DVC_SITE_CACHE_DIR": str(root / ".dvc" / "site"),
    }


def stage(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`python -m stages …` in a process of its own."""
    return _run(root, sys.executable, "-m", "stages", *arguments)


def dvc(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`dvc …` in a process of its own."""
    return _run(root, sys.executable, "-m", "dvc", *arguments)


def repro(root: Path, *arguments: str) -> list[str]:
    """`dvc repro …`, which must succeed; the stages that it ran."""
    done = dvc(root, "repro", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return [line.split("'")[1] for line in done.stdout.splitlines() if line.startswith("Running stage")]


def make_project(root: Path, models: dict[str, Path], **entries: dict[str, Any]) -> Path:
    """A project with these checkpoints, pinned; `entries` holds more keys of an entry, by slug."""
    root.mkdir(parents=True, exist_ok=True)
    skip = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(REPOSITORY / "stages", root / "stages", ignore=skip)
    shutil.copytree(REPOSITORY / "src", root / "src", ignore=skip)
    for name in ("dvc.yaml", ".dvcignore", "constraints.txt"):
        shutil.copyfile(REPOSITORY / name, root / name)
    make_registry(root)
    registry: dict[str, Any] = {}
    for slug, checkpoint in models.items():
        shutil.copytree(checkpoint, root / "checkpoints" / slug)
        raw = {"source": {"path": f"checkpoints/{slug}"}, "task": "text-ranking", "license": "mit"}
        registry[slug] = raw | entries.get(slug, {})
    write_yaml(root / "registry" / "models.yaml", {"models": registry})
    for slug in models:
        pin(root, slug)
    return root


def make_registry(root: Path) -> None:
    """registry/ without a model, small data, and params.yaml fitted to both."""
    for folder in ("locks", "data", "demo", "benchmarks"):
        (root / "registry" / folder).mkdir(parents=True)
    shutil.copyfile(REPOSITORY / "registry" / "catalog.yaml", root / "registry" / "catalog.yaml")
    (root / "registry" / "models.yaml").write_text("models: {}\n")
    (root / "registry" / "locks" / "data-sets.json").write_text("{}\n")
    for name, rows in (("pairs", 48), ("calibration", 24)):
        lines = (DEMO / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()[:rows]
        (root / "registry" / "data" / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (root / "registry" / "demo" / "README.md").write_text("Nothing here.\n")
    params = read_yaml(REPOSITORY / "params.yaml")
    params["data"]["sets"]["demo-pairs"]["path"] = "registry/data/pairs.jsonl"
    params["data"]["sets"]["demo-calibration"]["path"] = "registry/data/calibration.jsonl"
    params["thresholds"] = {name: {**_UNJUDGED, **limits} for name, limits in LOOSE.items()}
    params["calibration"]["rows"] = 16
    params["parity"]["probe_length"] = 24  # a session of OpenVINO compiles for each length
    params["benchmark"]["tune_seconds"] = 0.01  # the fewest pairs
    params["benchmark"]["presets"]["embedded"] = {
        "rounds": 1,
        "batch_sizes": [2],
        "workloads": {"short": {"set": "demo-pairs", "pairs": 2, "max_characters": 40}},
    }
    write_yaml(root / "params.yaml", params)


def pin(root: Path, slug: str) -> None:
    """Lock the files of a local checkpoint as they are now."""
    from stages.cli import main

    with contextlib.chdir(root):
        assert main(["pin", slug]) == 0


def read_yaml(path: Path) -> Any:
    """The parsed file."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def write_yaml(path: Path, value: Any) -> None:
    """Replace the file."""
    path.write_text(yaml.safe_dump(value, sort_keys=False), encoding="utf-8")


@contextlib.contextmanager
def edited(path: Path) -> Iterator[Any]:
    """The parsed YAML file, written back at the end of the block."""
    value = read_yaml(path)
    yield value
    write_yaml(path, value)


def read_json(path: Path) -> Any:
    """The parsed file."""
    return json.loads(path.read_text(encoding="utf-8"))


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file below `folder` by its relative path."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def _run(root: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=root, env=environment(root), capture_output=True, text=True, timeout=600, check=False
    )


def run(root: Path, *stages: str) -> None:
    """Run stages, those of OpenVINO in processes of their own: it numbers the nodes of a graph per process."""
    for name in stages:
        if "openvino" in pipeline.stage(name).toolchains:
            done = stage(root, name, SLUG)
            assert done.returncode == 0, done.stdout + done.stderr
        else:
            run_here(root, name)


def run_here(root: Path, *stages: str, slug: str = SLUG) -> None:
    """Run stages of one model in this process, which has the toolchain imported; each must succeed."""
    from stages.cli import main

    with contextlib.chdir(root), mock.patch.dict(os.environ), warnings.catch_warnings():
        if not (root / "artifacts" / "host.json").exists():
            assert main(["host"]) == 0
        for name in stages:
            assert main([name, slug]) == 0, name
