"""A tiny built project beside a Hub on loopback, both for one test."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.hub_publish import tiny
from tests.hub_publish.loopback import hub_of_this_process
from tools.loopback_hub import Hub

Command = Callable[..., tuple[int, str]]
Project = Callable[..., Path]


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    """A Hub that is this process's default, with a token that may write in the environment."""
    with hub_of_this_process(tmp_path) as running:
        yield running


@pytest.fixture
def make_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A function that makes a project with one built model the working directory; its arguments are the entry's."""

    def make(settings: dict[str, object] | None = None, **publish: object) -> Path:
        root = tiny.make_project(tmp_path / "project", publish=publish, settings=settings)
        tiny.build(root)
        monkeypatch.chdir(root)
        return root

    return make


@pytest.fixture
def project(make_project: Project) -> Path:
    """A project with one built model, as the working directory."""
    return make_project()


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """`python -m stages …` in this process: the exit code, and everything that it printed."""
    from stages.cli import main

    def run(*arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        code = main(list(arguments))
        return code, "".join(capsys.readouterr())

    return run
