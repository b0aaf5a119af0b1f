"""A published, signed folder; and a project beside a Hub on loopback."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.hub_publish import tiny
from tests.hub_publish.conftest import Command, Project, command, hub, make_project, project
from tests.signing.keys import make_key
from tests.updates.test_workflows import edit

__all__ = ["command", "hub", "make_project", "project"]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of one's own, and no signer from outside."""
    monkeypatch.setenv("ARTIFICER_CACHE", str(tmp_path / "cache"))
    for name in ("ARTIFICER_INDEX", "ARTIFICER_REQUIRE_SIGNATURE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "cache"


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    """A private key and its public key."""
    return make_key(tmp_path / "keys")


Publish = Callable[..., Path]


@pytest.fixture
def publish(make_project: Project, command: Command, keys: tuple[Path, Path]) -> Publish:
    """Publish a build into a folder, signed with the key; its arguments are `seed` and other settings of `publish`."""

    made: list[Path] = []

    def run(seed: int = 1, **settings: object) -> Path:
        given: dict[str, object] = {"target": "folder", "folder": "dist", "signing": {"key": str(keys[0])}, **settings}
        if made:
            edit(made[0] / "params.yaml", {"publish": given})
        else:
            made.append(make_project(settings=given))
        tiny.build(Path.cwd(), seeds={"onnx": seed}, variants=("onnx",))
        code, text = command("publish", tiny.SLUG)
        assert code == 0, text
        return Path.cwd() / "dist" / tiny.REPO

    return run
