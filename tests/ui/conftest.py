"""A project without a model, and its page, served by the real command."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.site import browser
from tests.stages import project
from tests.stages.checkpoints import STORED

if TYPE_CHECKING:
    from playwright.sync_api import Browser


class Served(NamedTuple):
    """Where the project is, and the address of its page."""

    root: Path
    address: str


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A tiny checkpoint lies in the project; nothing was added."""
    root = project.make_project(tmp_path_factory.mktemp("ui") / "project", {})
    shutil.copytree(STORED, root / "checkpoints" / "tiny")
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


@pytest.fixture(scope="module")
def chromium() -> Iterator["Browser"]:
    """A real browser."""
    with browser.started() as found:
        yield found
