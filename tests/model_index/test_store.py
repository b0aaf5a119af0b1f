"""Keeping the index: a publish enters its candidate, promote and rollback move stable, and no publisher is lost."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from artificer.hub.index import Index, Release
from stages.hub.repository import open_repo
from stages.publishing.index_store import FolderStore, IndexStore, open_hub_store
from stages.records.receipts import load_receipt
from tests.hub_publish import tiny
from tests.hub_publish.conftest import Command, Project
from tools.loopback_hub import Fault, Hub

REGISTRY = "acme/registry"
ON_HUB = {"index": {"repo": REGISTRY}}
IN_FOLDER = {"target": "folder", "index": {"folder": "dist"}}


def index_on(hub: Hub) -> Index:
    """The index that acme/registry holds."""
    return Index.from_json(hub.store.read(REGISTRY, "index.json"))


def test_on_the_hub(hub: Hub, command: Command, make_project: Project) -> None:
    """publish, promote, publish, promote, rollback: each moves one channel, in one commit each, in a private repo."""
    root = make_project(settings=ON_HUB)
    releases = []
    for seed in (1, 2):
        tiny.build(root, seeds={"onnx": seed})
        code, text = command("publish", tiny.SLUG)
        assert code == 0, text
        receipt = load_receipt(tiny.SLUG)
        assert receipt is not None
        releases.append(index_on(hub).find(tiny.SLUG, "candidate"))
        assert releases[-1] == Release(repo=tiny.REPO, revision=receipt.commit, manifest_sha256=receipt.manifest_sha256)
        code, text = command("promote", tiny.SLUG)
        assert code == 0, text
        assert index_on(hub).find(tiny.SLUG) == releases[-1]
    code, text = command("rollback", tiny.SLUG)
    assert code == 0, text
    assert index_on(hub).find(tiny.SLUG) == releases[0]
    assert hub.store.repo(REGISTRY).private
    assert [event.action for event in index_on(hub).models[tiny.SLUG].history] == [
        "publish",
        "promote",
        "publish",
        "promote",
        "rollback",
    ]
    code, text = command("rollback", tiny.SLUG)
    assert code == 1
    assert "it cannot be rolled back" in text


def test_in_a_folder(command: Command, make_project: Project) -> None:
    """A folder works the same: each release is kept, so that stable is not overwritten by the next publish."""
    root = make_project(settings=IN_FOLDER)
    for seed in (1, 2):
        manifest = tiny.build(root, seeds={"onnx": seed})
        assert command("publish", tiny.SLUG)[0] == 0
        if seed == 1:
            assert command("promote", tiny.SLUG)[0] == 0
    index = FolderStore(root / "dist").read()
    stable, candidate = index.find(tiny.SLUG), index.find(tiny.SLUG, "candidate")
    assert stable != candidate
    kept = root / "dist" / candidate.repo
    assert {p.relative_to(kept).as_posix() for p in kept.rglob("*") if p.is_file()} == tiny.contents(
        root, manifest
    ).keys()
    assert (root / "dist" / stable.repo / "manifest.json").is_file()
    assert (root / "dist" / "index.json").read_bytes() == index.to_json()


def test_publishing_the_same_again(hub: Hub, command: Command, make_project: Project) -> None:
    """The same bytes again leave the index alone, even when somebody else committed to the repo meanwhile."""
    make_project(settings=ON_HUB)
    command("publish", tiny.SLUG)
    before = index_on(hub)
    hub.store.commit(tiny.REPO, {"NOTES.md": b"mine\n"})
    command("publish", tiny.SLUG)
    assert index_on(hub) == before


@pytest.mark.parametrize("damage", ["changed", "gone"])
def test_promoting_what_is_damaged(hub: Hub, command: Command, make_project: Project, damage: str) -> None:
    """What no longer is what was published is not promoted."""
    make_project(settings=IN_FOLDER)
    command("publish", tiny.SLUG)
    release = FolderStore(Path("dist")).read().find(tiny.SLUG, "candidate")
    path = Path("dist", release.repo, "onnx", "model.onnx")
    path.write_bytes(b"x") if damage == "changed" else path.unlink()
    code, text = command("promote", tiny.SLUG)
    assert code == 7
    assert "onnx/model.onnx differs from the manifest. Publish it again." in text
    assert "stable" not in FolderStore(Path("dist")).read().models[tiny.SLUG].channels
    assert not hub.requests


def test_promoting_another_manifest(hub: Hub, command: Command, make_project: Project) -> None:
    """A manifest that is not the one of the index stops a promotion."""
    make_project(settings=ON_HUB)
    command("publish", tiny.SLUG)
    raw = json.loads(hub.store.read(REGISTRY, "index.json"))
    entry = raw["models"][tiny.SLUG]
    for release in (entry["channels"]["candidate"], entry["history"][0]["release"]):
        release["manifest_sha256"] = "0" * 64
    hub.store.commit(REGISTRY, {"index.json": json.dumps(raw).encode()})
    code, text = command("promote", tiny.SLUG)
    assert code == 7
    assert "the index says manifest sha256 000000" in text


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize("place", ["folder", "hub"])
def test_many_publishers(make_project: Project, tmp_path: Path, place: str) -> None:
    """Six at once, and every one is in the index afterwards."""
    make_project()
    count, together = 6, threading.Barrier(6)

    def store() -> IndexStore:
        return FolderStore(tmp_path / "index") if place == "folder" else open_hub_store(REGISTRY)

    def publish(number: int) -> None:
        release = Release(repo=f"acme/m{number}", revision=f"{number:040x}", manifest_sha256=f"{number:064x}")
        together.wait()
        store().update(lambda index: index.published(f"m{number}", release), f"candidate of m{number}")

    with ThreadPoolExecutor(count) as pool:
        list(pool.map(publish, range(count)))
    assert sorted(store().read().models) == sorted(f"m{number}" for number in range(count))


@pytest.mark.parametrize("kind", ["status_after", "reset_after", "status", "foreign_commit"])
def test_lost_answers(hub: Hub, command: Command, make_project: Project, kind: str) -> None:
    """A rollback whose answer was lost is not made twice; a head that moved is no obstacle."""
    root = make_project(settings=ON_HUB)
    for seed in (1, 2, 3):
        tiny.build(root, seeds={"onnx": seed})
        command("publish", tiny.SLUG)
        command("promote", tiny.SLUG)
    before = index_on(hub)
    hub.faults.add(Fault(kind, "commit", status=502))  # type: ignore[arg-type]
    code, text = command("rollback", tiny.SLUG)
    assert code == 0, text
    assert index_on(hub) == before.rolled_back(tiny.SLUG)


def test_token_that_may_not_write(
    hub: Hub, command: Command, make_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Promoting needs a token with the right to write; the message says so."""
    make_project(settings=ON_HUB)
    command("publish", tiny.SLUG)
    monkeypatch.setenv("HF_TOKEN", hub.tokens.read.value)
    code, text = command("promote", tiny.SLUG)
    assert code == 7
    assert "acme/registry: the token may not do this (403)" in text


@pytest.mark.usefixtures("project")
def test_no_index(command: Command) -> None:
    """Without an index in params.yaml, promote says where to name one."""
    code, text = command("promote", tiny.SLUG)
    assert code == 2
    assert "params.yaml: publish.index: no index is configured." in text


def test_index_of_somebody_else(hub: Hub, command: Command, make_project: Project) -> None:
    """A file that is no index of ours is not overwritten."""
    make_project(settings=ON_HUB)
    hub.store.create_repo(REGISTRY, private=True)
    hub.store.commit(REGISTRY, {"index.json": b"[1, 2]"})
    code, text = command("publish", tiny.SLUG)
    assert code == 1
    assert "index.json" in text
    assert hub.store.read(REGISTRY, "index.json") == b"[1, 2]"
    assert open_repo(REGISTRY, None).repo == REGISTRY
