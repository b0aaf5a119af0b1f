"""A tiny built project beside a Hub on loopback, both for one test; nothing waits and nothing leaves this machine."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.hub import Hub, default_hub, loopback_only, running_hub
from tests.hub_publish import tiny

Command = Callable[..., tuple[int, str]]


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A Hub that is this process's default, with a token that may write in the environment."""
    no_wait = SimpleNamespace(sleep=lambda _: None)
    monkeypatch.setattr("huggingface_hub.utils._http.time", no_wait)
    monkeypatch.setattr("huggingface_hub.file_download.time", no_wait)
    monkeypatch.setattr("stages.hub._sleep", lambda _: None)
    monkeypatch.setattr("stages.environment.prepare", lambda *, online: None)
    monkeypatch.delenv("HUGGING_FACE_HUB_TOKEN", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with (
        loopback_only(),
        running_hub(tmp_path / "hub", multipart_threshold=1_000_000, part_size=400_000) as running,
        default_hub(running, tmp_path / "home"),
    ):
        monkeypatch.setenv("HF_TOKEN", running.tokens.write.value)
        yield running


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one built model, as the working directory."""
    root = tiny.make_project(tmp_path / "project")
    tiny.build(root)
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """`python -m stages …` in this process: the exit code, and everything that it printed."""
    from stages.cli import main

    def run(*arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        code = main(list(arguments))
        return code, "".join(capsys.readouterr())

    return run
