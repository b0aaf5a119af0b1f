"""Publishing to a Hub: what one commit holds, and what a second one leaves out."""

from pathlib import Path

import pytest

from stages.records.receipts import load_receipt
from tests.hub_publish import tiny
from tests.hub_publish.conftest import Command
from tools.loopback_hub import Hub


def held(hub: Hub, revision: str = "main", repo: str = tiny.REPO) -> dict[str, bytes]:
    """Every file of the repo but the Hub's own .gitattributes."""
    files = hub.store.files(repo, revision)
    return {path: hub.store.objects.read(entry) for path, entry in files.items() if path != ".gitattributes"}


def history(hub: Hub, revision: str = "main", repo: str = tiny.REPO) -> list[str]:
    """The titles of the commits after the Hub's first one, oldest first."""
    found = hub.store.repo(repo)
    return [commit.title for _, commit in hub.store.log(found, hub.store.head(repo, revision))][::-1][1:]


def test_new_repo(hub: Hub, project: Path, command: Command) -> None:
    """A publish makes the repo, private, and puts everything into one commit."""
    code, text = command("publish", tiny.SLUG)
    assert code == 0, text
    manifest = tiny.build(project)
    assert held(hub) == tiny.contents(project, manifest)
    assert hub.store.repo(tiny.REPO).private
    assert history(hub) == ["Artificer: variants of tiny"]
    receipt = load_receipt(tiny.SLUG)
    assert receipt is not None
    assert (receipt.repo, receipt.commit) == (tiny.REPO, hub.store.head(tiny.REPO))


@pytest.mark.usefixtures("project")
def test_same_bytes_again(hub: Hub, command: Command) -> None:
    """A second publish of the same bytes makes no commit and uploads nothing."""
    command("publish", tiny.SLUG)
    head, receipt = hub.store.head(tiny.REPO), load_receipt(tiny.SLUG)
    hub.requests.clear()
    code, text = command("publish", tiny.SLUG)
    assert (code, hub.store.head(tiny.REPO), load_receipt(tiny.SLUG)) == (0, head, receipt)
    assert "holds these files already" in text
    assert not hub.requests.matching("commit", "lfs_*", "download")


def test_one_variant_changed(hub: Hub, project: Path, command: Command) -> None:
    """Only the changed variant's large file is uploaded again."""
    command("publish", tiny.SLUG)
    hub.requests.clear()
    manifest = tiny.build(project, seeds={"onnx-O3": 1})
    code, text = command("publish", tiny.SLUG)
    assert code == 0, text
    assert held(hub) == tiny.contents(project, manifest)
    changed = manifest.variant("onnx-O3")
    assert hub.requests.uploaded_bytes == changed.size_bytes < sum(v.size_bytes for v in manifest.variants) / 2


def test_removed_variant(hub: Hub, project: Path, command: Command) -> None:
    """A variant that is no longer published is deleted in the same commit; somebody else's files stay."""
    command("publish", tiny.SLUG)
    hub.store.commit(tiny.REPO, {"NOTES.md": b"mine\n", "onnx/mine.onnx": b"\0mine"})
    manifest = tiny.build(project, variants=("onnx", "onnx-O3"))
    code, text = command("publish", tiny.SLUG)
    assert code == 0, text
    others = {"NOTES.md": b"mine\n", "onnx/mine.onnx": b"\0mine"}
    assert held(hub) == tiny.contents(project, manifest) | others
    assert len(history(hub)) == 3


def test_dry_run(hub: Hub, project: Path, command: Command) -> None:
    """A dry run says exactly what would go where, with sizes, and sends nothing."""
    code, text = command("publish", tiny.SLUG, "--dry-run")
    assert code == 0
    assert "acme/tiny: would create it (private), and commit to main" in text
    command("publish", tiny.SLUG)
    manifest = tiny.build(project, variants=("onnx", "onnx-O3"), seeds={"onnx": 1})
    head = hub.store.head(tiny.REPO)
    hub.requests.clear()
    code, text = command("publish", tiny.SLUG, "--dry-run")
    assert code == 0
    assert f"acme/tiny: one commit to main, on {head}" in text
    assert f"  ~ onnx/model.onnx  {manifest.variant('onnx').size_bytes:,} bytes" in text
    assert "  - openvino/openvino_model.bin  4,096 bytes" in text
    assert hub.store.head(tiny.REPO) == head
    assert {record.method for record in hub.requests} == {"GET", "HEAD"}


def test_other_branch(hub: Hub, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """A branch that is not there is made from main, and takes the commit."""
    root = tiny.make_project(tmp_path / "branch", publish={"branch": "next", "private": False})
    manifest = tiny.build(root)
    monkeypatch.chdir(root)
    code, text = command("publish", tiny.SLUG)
    assert code == 0, text
    assert held(hub, "next") == tiny.contents(root, manifest)
    assert held(hub) == {}
    assert not hub.store.repo(tiny.REPO).private
