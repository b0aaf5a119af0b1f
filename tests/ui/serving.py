"""A project without a model, and its page, served by the real command."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.stages import project
from tests.stages.checkpoints import STORED


class Served(NamedTuple):
    """Where the project is, and the address of its page."""

    root: Path
    address: str


@contextlib.contextmanager
def serving(root: Path) -> Iterator[Served]:
    """A tiny checkpoint lies in the new project at `root`; nothing was added. Releases are kept, with channels."""
    project.make_project(root, {})
    shutil.copytree(STORED, root / "checkpoints" / "tiny")
    params = project.read_yaml(root / "params.yaml")
    params["publish"]["index"] = {"folder": "dist"}
    project.write_yaml(root / "params.yaml", params)
    assert project.dvc(root, "init", "--no-scm", "--quiet").returncode == 0
    command = [sys.executable, "-m", "stages", "ui", "--port", "0"]
    process = subprocess.Popen(
        command, cwd=root, env=project.environment(root), stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    try:
        yield Served(root, process.stdout.readline().strip().rstrip("/"))
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.stdout.close()
