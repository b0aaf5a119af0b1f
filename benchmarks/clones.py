"""A clone of this repository with one checkpoint as its only model, for benchmarks that run the pipeline."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYTHON = [sys.executable, "-m", "stages"]


def clone(project: Path) -> dict[str, str]:
    """Clone to `project`, which is replaced, with an empty registry; the environment that runs the clone's own code."""
    shutil.rmtree(project, ignore_errors=True)
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(project)], check=True)
    (project / "registry/models.yaml").write_text("models: {}\n")
    found = {**os.environ, "PYTHONPATH": f"{project}/src{os.pathsep}{project}"}
    return found | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{found['PATH']}"}


def add(project: Path, environment: dict[str, str], checkpoint: Path, slug: str) -> None:
    """Make `checkpoint` the clone's model. Raises SystemExit when it cannot be added; it says why itself."""
    options = ("--slug", slug, "--license", "mit", "--activation", "sigmoid")
    done = subprocess.run([*PYTHON, "add", str(checkpoint), *options], cwd=project, env=environment, check=False)
    if done.returncode:
        raise SystemExit(f"{checkpoint}: it cannot be added")
