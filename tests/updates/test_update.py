"""`update`: which tracked sources moved, what changed in them, and what is pinned again."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from stages.core import paths
from tests.hub_publish import tiny
from tests.hub_publish.conftest import Command, command, hub, make_project, project
from tests.hub_publish.test_sources import checkpoint
from tools.loopback_hub import Fault, Hub

__all__ = ["command", "hub", "make_project", "project"]

REPO = "acme/base"


@pytest.fixture
def tracked(hub: Hub, project: Path, command: Command) -> str:
    """An entry that follows the branch main of acme/base."""
    hub.store.create_repo(REPO)
    hub.store.commit(REPO, checkpoint())
    tiny.write_yaml(project / "registry" / "models.yaml", {"models": {}})
    code, text = command("add", REPO, "--license", "mit")
    assert code == 0, text
    return "base"


def lock() -> dict[str, Any]:
    """The pin of `base`."""
    return dict(json.loads(paths.lock("base").read_text()))


def test_not_moved(tracked: str, command: Command) -> None:
    """A branch that stands still changes nothing."""
    before = lock()
    code, text = command("update")
    assert (code, lock()) == (0, before)
    assert f"{tracked}: acme/base at main has not moved" in text


def test_moved(hub: Hub, tracked: str, command: Command) -> None:
    """A branch that moved: the commits and files that changed are shown, and the new commit is pinned."""
    before = lock()["revision"]
    files = {"config.json": checkpoint()["config.json"] + b"\n", "added_tokens.json": b"{}"}
    new = hub.store.commit(REPO, files, delete=["special_tokens_map.json"], message="Better labels")
    code, text = command("update", tracked)
    assert code == 0, text
    assert f"base: acme/base: main moved from {before} to {new}" in text
    for line in (
        f"    {new[:12]}  Better labels",
        "  + added_tokens.json",
        "  ~ config.json",
        "  - special_tokens_map",
    ):
        assert line in text
    assert lock()["revision"] == new
    assert command("update")[1].count("has not moved") == 1


def test_check(hub: Hub, tracked: str, command: Command) -> None:
    """`--check` says what moved with an exit code of its own, and pins nothing."""
    before = lock()
    hub.store.commit(REPO, {"config.json": checkpoint()["config.json"] + b"\n"})
    code, text = command("update", "--check")
    assert (code, lock()) == (10, before)
    assert f"error: {tracked} moved. `python -m stages update` pins the current commit." in text


@pytest.mark.usefixtures("tracked")
def test_only_the_card_changed(hub: Hub, command: Command) -> None:
    """A commit that leaves the checkpoint's files alone is reported, and no reason to build again."""
    before = lock()
    hub.store.commit(REPO, {"README.md": b"new\n", "onnx/model.onnx": b"\0"}, message="Words")
    code, text = command("update", "--check")
    assert (code, lock()) == (0, before)
    assert "no file of the checkpoint changed: the pin stays" in text


@pytest.mark.usefixtures("tracked")
def test_worse_than_before(hub: Hub, command: Command) -> None:
    """A new commit that would be refused is refused here too, and the old pin stays."""
    before = lock()
    hub.store.commit(REPO, {"pytorch_model.bin": b"\x80"}, delete=["model.safetensors"])
    code, text = command("update")
    assert (code, lock()) == (4, before)
    assert "error: base: expected model.safetensors" in text


@pytest.mark.usefixtures("tracked")
def test_one_of_two_fails(hub: Hub, command: Command) -> None:
    """Trouble with one model does not keep another from being updated."""
    registry = yaml.safe_load(paths.REGISTRY.read_text())
    gone = {**registry["models"]["base"], "source": {"repo": "acme/gone", "revision": "main"}}
    tiny.write_yaml(paths.REGISTRY, {"models": {"another": gone, **registry["models"]}})
    paths.lock("another").write_text(json.dumps({**lock(), "location": "acme/gone"}))
    new = hub.store.commit(REPO, {"config.json": checkpoint()["config.json"] + b"\n"})
    code, text = command("update")
    assert (code, lock()["revision"]) == (4, new)
    assert "error: another: acme/gone: no such repo on the Hub" in text


@pytest.mark.usefixtures("tracked")
def test_history_that_was_rewritten(hub: Hub, command: Command) -> None:
    """When the pinned commit is gone, the message says that the branch was rewritten."""
    old = lock()["revision"]
    hub.store.delete_repo(REPO)
    hub.store.create_repo(REPO)
    hub.store.commit(REPO, checkpoint(), message="Anew")
    code, text = command("update")
    assert code == 0, text
    assert "the pinned commit is gone from the Hub: the branch was rewritten" in text
    assert lock()["revision"] != old


@pytest.mark.usefixtures("tracked")
def test_nothing_to_track(command: Command) -> None:
    """A folder, and a commit in the entry, are not tracked; an unknown slug is a usage error."""
    registry = yaml.safe_load(paths.REGISTRY.read_text())
    entry = registry["models"]["base"]
    pinned = {**entry, "source": {"repo": REPO, "revision": "0" * 40}}
    local = {**entry, "source": {"path": "somewhere"}}
    tiny.write_yaml(paths.REGISTRY, {"models": {"pinned": pinned, "local": local}})
    code, text = command("update")
    assert code == 0
    assert "pinned: acme/base is pinned in the entry: nothing to track" in text
    assert "local: somewhere is a folder: nothing to track" in text
    assert command("update", "nobody")[0] == 2


@pytest.mark.usefixtures("tracked")
def test_hub_away(hub: Hub, command: Command) -> None:
    """Without the Hub nothing is pinned, and the message is the Hub's trouble."""
    before = lock()
    hub.faults.add(Fault("status", "*", status=503, times=None))
    code, text = command("update")
    assert (code, lock()) == (4, before)
    assert "error: base: acme/base at main: the Hub keeps failing (503). Run again later." in text
