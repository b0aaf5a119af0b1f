"""examples/space: what its page calls; and the page itself where there is an environment with gradio, which does not
install beside the builder. `ARTIFICER_SPACE_PYTHON` is the interpreter of such an environment."""

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from tests.runtime.conftest import published

if TYPE_CHECKING:
    from playwright.sync_api import Browser

__all__ = ["published"]
ROOT = Path(__file__).parents[2]
APP = ROOT / "examples/space/space.py"
SECONDS = 120


@pytest.fixture
def space(published: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The app, with the demo model."""
    monkeypatch.setenv("ARTIFICER_MODEL", str(published))
    spec = importlib.util.spec_from_file_location("space_app", APP)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_two_executions_are_compared(space: ModuleType) -> None:
    """Rows are in the first one's order; a document whose rank differs is marked."""
    first, *_, last = space.names()
    line, rows = space.compared(*space.EXAMPLE, first, last)
    assert line.startswith("**A** ")
    assert [row[2] for row in rows] == [1, 2, 3, 4, 5]
    assert all((row[6] == "moved") == (row[2] != row[4]) for row in rows)


def test_no_document_is_no_error(space: ModuleType) -> None:
    """It says what to write."""
    name = space.names()[0]
    assert space.compared("query", "\n \n", name, name) == ("Write a document on each line.", [])


def test_too_much_is_refused(space: ModuleType) -> None:
    """A public page is asked for more than it can do."""
    name = space.names()[0]
    line, rows = space.compared("query", "a document\n" * (space.MOST_DOCUMENTS + 1), name, name)
    assert line.startswith("At most 50 documents")
    assert rows == []


def test_a_page_without_a_model_says_what_to_set(space: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of a traceback."""
    monkeypatch.delenv("ARTIFICER_MODEL")
    with pytest.raises(SystemExit, match="ARTIFICER_MODEL is not set"):
        space.name()


def space_python() -> str:
    """An interpreter that has gradio; without one the test is skipped."""
    given = os.environ.get("ARTIFICER_SPACE_PYTHON")
    if given is None and importlib.util.find_spec("gradio") is None:
        pytest.skip("gradio is not installed here: set ARTIFICER_SPACE_PYTHON to an interpreter that has it")
    return given or sys.executable


@contextmanager
def running(python: str, package: Path, cache: Path) -> Iterator[str]:
    """The Space as it is started by hand; its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {
        "ARTIFICER_MODEL": str(package),
        "ARTIFICER_CACHE": str(cache),
        "GRADIO_SERVER_PORT": str(port),
        "PYTHONPATH": str(ROOT / "src"),
        "PYTHONUNBUFFERED": "1",
    }
    process = subprocess.Popen(
        [python, str(APP)], env={**os.environ, **settings}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    limit = threading.Timer(SECONDS, process.kill)
    limit.start()
    said = []
    try:
        for line in process.stdout:
            said.append(line)
            if "Running on local URL" in line:
                break
        assert process.poll() is None, "".join(said)
        yield f"http://127.0.0.1:{port}/"
    finally:
        limit.cancel()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)


def test_the_page_answers_in_a_browser(published: Path, chromium: "Browser", tmp_path: Path) -> None:
    """With an example before anything is asked, and again for other documents."""
    with running(space_python(), published, tmp_path / "cache") as address:
        page = chromium.new_page()
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(address)
        page.locator("strong", has_text="×").wait_for(timeout=1000 * SECONDS)
        assert page.locator("tbody tr", has_text="washer").first.inner_text().split()[-1] == "same"
        page.get_by_label("Documents, one on a line").fill("one document\nanother one")
        page.get_by_role("button", name="Score").click()
        page.locator("tbody tr", has_text="another one").first.wait_for(timeout=1000 * SECONDS)
        assert problems == []
        page.close()
