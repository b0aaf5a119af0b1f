"""examples/space: what its page calls, without gradio, which does not install beside the builder."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from tests.runtime.conftest import published

__all__ = ["published"]
APP = Path(__file__).parents[2] / "examples/space/space.py"


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
    assert line.startswith("A: ")
    assert [row[2] for row in rows] == [1, 2, 3]
    assert all((row[5] == "moved") == (row[2] != row[4]) for row in rows)


def test_no_document_is_no_error(space: ModuleType) -> None:
    """It says what to write."""
    name = space.names()[0]
    assert space.compared("query", "\n \n", name, name) == ("Write a document on each line.", [])
