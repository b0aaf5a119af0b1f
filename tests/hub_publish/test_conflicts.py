"""What a publish refuses to touch: files of others, a public repo for a private model, names that break a variant."""

from pathlib import Path

import pytest

from stages.records.receipts import load_receipt
from tests.hub_publish import tiny
from tests.hub_publish.conftest import Command, Project
from tests.hub_publish.test_publish import held
from tools.loopback_hub import Hub

CARD = b"---\nlicense: mit\n---\n\nsomebody's own card\n"


@pytest.mark.usefixtures("project")
def test_foreign_files(hub: Hub, command: Command) -> None:
    """A repo with a file that is not ours at a place of ours is refused, by name, with three ways out."""
    hub.store.create_repo(tiny.REPO, private=True)
    hub.store.commit(tiny.REPO, {"README.md": CARD})
    code, text = command("publish", tiny.SLUG)
    assert code == 7
    assert "acme/tiny holds files that no Artificer manifest lists: README.md. Nothing was sent." in text
    assert held(hub) == {"README.md": CARD}
    code, text = command("publish", tiny.SLUG, "--overwrite")
    assert code == 0, text


def test_edited_card(hub: Hub, project: Path, command: Command) -> None:
    """A file of ours that somebody edited on the Hub is not overwritten silently."""
    command("publish", tiny.SLUG)
    hub.store.commit(tiny.REPO, {"README.md": CARD})
    tiny.build(project, variants=("onnx",))
    code, text = command("publish", tiny.SLUG)
    assert code == 7
    assert "acme/tiny: somebody changed README.md since it was published." in text
    assert held(hub)["README.md"] == CARD


def test_public_repo_for_a_private_model(hub: Hub, command: Command, make_project: Project) -> None:
    """What the entry calls private is not put into a public repo."""
    make_project()
    hub.store.create_repo(tiny.REPO)
    code, text = command("publish", tiny.SLUG)
    assert code == 7
    assert "acme/tiny is public, models.tiny.publish.private says private (the default)." in text
    assert held(hub) == {}


@pytest.mark.usefixtures("project")
def test_renamed_repo(hub: Hub, command: Command) -> None:
    """A renamed repo is an error that tells the new name."""
    hub.store.create_repo(tiny.REPO, private=True)
    hub.store.move_repo(tiny.REPO, "acme/other")
    code, text = command("publish", tiny.SLUG)
    assert code == 7
    assert "acme/tiny was renamed to acme/other on the Hub" in text


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(("role", "status"), [("read", "403"), ("none", "there is no token")])
def test_token_without_the_right(
    hub: Hub, command: Command, monkeypatch: pytest.MonkeyPatch, role: str, status: str
) -> None:
    """A token that may only read, or none, ends with one message and no repo."""
    if role == "none":
        monkeypatch.delenv("HF_TOKEN")
    else:
        monkeypatch.setenv("HF_TOKEN", hub.tokens.read.value)
    code, text = command("publish", tiny.SLUG)
    assert code == 7
    assert status in text
    assert load_receipt(tiny.SLUG) is None


def test_changed_after_packing(hub: Hub, project: Path, command: Command) -> None:
    """A file that is no longer what the manifest says stops the publish before anything is sent."""
    next((project / "artifacts/models/tiny").rglob("model_O3.onnx")).write_bytes(b"other")
    code, text = command("publish", tiny.SLUG)
    assert code == 7
    assert "Nothing was published; run `dvc repro`." in text
    assert not hub.requests


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"openvino/openvino_model.xml": "ov/x.xml"}, "expected ov/x.bin, found openvino/openvino_model.bin"),
        ({"onnx/model.onnx": "onnx/model_O3.onnx"}, "two files would have the same name"),
        ({"onnx/model.onnx": "../model.onnx"}, "is refused"),
    ],
)
def test_names_that_would_break(
    hub: Hub, command: Command, make_project: Project, names: dict[str, str], message: str
) -> None:
    """A renaming that would part a graph from its sidecar, or leave the repo, is refused."""
    make_project(contents="variants", names=names)
    hub.store.create_repo(tiny.REPO, private=True)
    code, text = command("publish", tiny.SLUG)
    assert code in (3, 7)
    assert message in text
    assert held(hub) == {}
