"""Signed repositories and indexes: what is published, what is loaded, and what is refused."""

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import HfApi

import artificer
from artificer import ModelIndex, SignatureError, SignedBy
from artificer.hub.index import Index
from artificer.manifest import MANIFEST_FILE, SIGNATURE_FILE
from tests.hub_publish import tiny
from tests.hub_publish.conftest import Command, Project
from tests.signing.keys import make_key
from tests.updates.test_workflows import edit
from tools.loopback_hub import Hub

REGISTRY = "acme/registry"
Keys = tuple[Path, Path]


@pytest.fixture
def signed(hub: Hub, make_project: Project, command: Command, keys: Keys) -> Path:
    """A project whose two builds were published to the Hub, signed: the first is stable, the second candidate."""
    root = make_project(settings={"index": {"repo": REGISTRY}, "signing": {"key": str(keys[0])}})
    for seed in (1, 2):
        tiny.build(root, seeds={"onnx": seed}, variants=("onnx",))
        steps = [("publish", tiny.SLUG), ("promote", tiny.SLUG)]
        for step in steps[: 2 if seed == 1 else 1]:
            code, text = command(*step)
            assert code == 0, text
    assert hub.store.files(REGISTRY, "main")
    return root


def score(source: str, **options: Any) -> float:
    """Load, and score one pair."""
    with artificer.load(source, **options) as model:
        return float(model.predict([tiny.PAIR], activation_fn="identity")[0])


def receipt(root: Path) -> dict[str, Any]:
    """What the last publish wrote."""
    return dict(json.loads((root / "registry/receipts/tiny.json").read_text()))


def test_the_repository_holds_the_signature_and_the_receipt_its_hash(hub: Hub, signed: Path) -> None:
    """In the same commit as what it signs; read back like every other file."""
    found = receipt(signed)
    data = hub.store.read(tiny.REPO, SIGNATURE_FILE)
    assert found["signature_sha256"] == hashlib.sha256(data).hexdigest()
    statement = json.loads(base64.b64decode(json.loads(data)["dsseEnvelope"]["payload"]))
    names = {resource["name"] for resource in statement["predicate"]["resources"]}
    assert names == set(hub.store.files(tiny.REPO, "main")) - {SIGNATURE_FILE, ".gitattributes"}
    assert {MANIFEST_FILE, "README.md"} <= names
    assert found["files"] == len(names) + 1


@pytest.mark.usefixtures("signed")
def test_a_signed_repository_is_loaded_by_its_id_and_by_name(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the Hub, from an index, and from an index that the environment names."""
    signer = SignedBy(key=keys[1])
    assert score(tiny.REPO, require_signature=signer) == pytest.approx(tiny.logit(2), abs=1e-3)
    assert score(tiny.SLUG, index=REGISTRY, require_signature=signer) == pytest.approx(tiny.logit(1), abs=1e-3)
    monkeypatch.setenv("ARTIFICER_INDEX", REGISTRY)
    monkeypatch.setenv("ARTIFICER_REQUIRE_SIGNATURE", f"key={keys[1]}")
    assert score(tiny.SLUG, channel="candidate") == pytest.approx(tiny.logit(2), abs=1e-3)
    assert score(tiny.SLUG, offline=True) == pytest.approx(tiny.logit(1), abs=1e-3)


@pytest.mark.usefixtures("signed")
def test_with_a_wrong_key_nothing_but_the_signature_is_fetched(hub: Hub, tmp_path: Path) -> None:
    """Neither the manifest nor any file; and what was refused is not kept."""
    other = SignedBy(key=make_key(tmp_path / "other")[1])
    for source, index in ((tiny.REPO, None), (tiny.SLUG, REGISTRY)):
        hub.requests.clear()
        with pytest.raises(SignatureError, match="another key signed it"):
            artificer.load(source, index=index, require_signature=other)
        fetched = {record.path.rpartition("/")[2] for record in hub.requests.matching("resolve", method="GET")}
        assert fetched <= {SIGNATURE_FILE, "index.json"}
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.name in (SIGNATURE_FILE, MANIFEST_FILE)]
    with pytest.raises(SignatureError, match="another key signed it"):
        ModelIndex(REGISTRY, require_signature=other).describe(tiny.SLUG)


def test_an_unsigned_repository_is_refused(hub: Hub, make_project: Project, command: Command, keys: Keys) -> None:
    """By its name and commit, for a load and for a look-up."""
    make_project(settings={"index": {"repo": REGISTRY}})
    for step in ("publish", "promote"):
        assert command(step, tiny.SLUG)[0] == 0
    commit = hub.store.head(tiny.REPO)[:8]
    signer = SignedBy(key=keys[1])
    for source, index in ((tiny.REPO, None), (tiny.SLUG, REGISTRY)):
        with pytest.raises(SignatureError, match=f"acme/tiny@{commit}: not signed: there is no model.sig"):
            artificer.load(source, index=index, require_signature=signer)
    with pytest.raises(SignatureError, match="not signed"):
        ModelIndex(REGISTRY, require_signature=signer).describe(tiny.SLUG)


@pytest.mark.usefixtures("signed")
def test_an_older_manifest_beside_the_newest_signature_is_refused(hub: Hub, keys: Keys) -> None:
    """And an older manifest with its own signature is not the one that the index names."""
    first, second = [commit for commit in _commits(hub) if MANIFEST_FILE in hub.store.files(tiny.REPO, commit)][-2:]
    old = {name: hub.store.read(tiny.REPO, name, first) for name in (MANIFEST_FILE, SIGNATURE_FILE, "onnx/model.onnx")}
    hub.store.commit(tiny.REPO, {MANIFEST_FILE: old[MANIFEST_FILE]})
    with pytest.raises(SignatureError, match="the manifest was changed or replaced after it was signed"):
        score(tiny.REPO, require_signature=SignedBy(key=keys[1]))
    replayed = hub.store.commit(tiny.REPO, old)
    newest = hashlib.sha256(hub.store.read(tiny.REPO, MANIFEST_FILE, second)).hexdigest()
    with pytest.raises(artificer.IntegrityError, match=f"expected {newest}"):
        score(tiny.REPO, revision=replayed, manifest_sha256=newest, require_signature=SignedBy(key=keys[1]))
    index = Index.from_json(hub.store.read(REGISTRY, "index.json"))
    candidate = index.find(tiny.SLUG, "candidate")
    text = index.to_json().decode().replace(str(candidate.revision), replayed)
    hub.store.commit(REGISTRY, {"index.json": text.encode()})
    with pytest.raises(artificer.IntegrityError, match=f"expected {newest}"):
        score(tiny.SLUG, index=REGISTRY, channel="candidate", require_signature=SignedBy(key=keys[1]))


def _commits(hub: Hub) -> list[str]:
    api = HfApi(endpoint=hub.endpoint, token=hub.tokens.write.value)
    return [str(commit.commit_id) for commit in reversed(api.list_repo_commits(tiny.REPO))]


@pytest.mark.usefixtures("signed")
def test_an_older_index_is_refused_where_a_signature_is_required(hub: Hub, command: Command, keys: Keys) -> None:
    """Both releases are signed and whole: only the history tells that nobody has rolled back."""
    signer = SignedBy(key=keys[1])
    older = hub.store.read(REGISTRY, "index.json")
    assert command("promote", tiny.SLUG)[0] == 0
    assert score(tiny.SLUG, index=REGISTRY, require_signature=signer) == pytest.approx(tiny.logit(2), abs=1e-3)
    hub.store.commit(REGISTRY, {"index.json": older})
    assert score(tiny.SLUG, index=REGISTRY) == pytest.approx(tiny.logit(1), abs=1e-3)
    with pytest.raises(SignatureError, match="lacks releases of tiny that this machine has seen"):
        score(tiny.SLUG, index=REGISTRY, require_signature=signer)
    with pytest.raises(SignatureError, match="lacks releases of tiny"):
        list(ModelIndex(REGISTRY, require_signature=signer))


@pytest.mark.usefixtures("signed")
def test_a_rollback_by_the_publisher_continues_the_history(command: Command, keys: Keys) -> None:
    """So it is no replay."""
    signer = SignedBy(key=keys[1])
    assert command("promote", tiny.SLUG)[0] == 0
    score(tiny.SLUG, index=REGISTRY, require_signature=signer)
    assert command("rollback", tiny.SLUG)[0] == 0
    assert score(tiny.SLUG, index=REGISTRY, require_signature=signer) == pytest.approx(tiny.logit(1), abs=1e-3)


def test_a_second_publish_of_the_same_files_makes_no_commit(hub: Hub, signed: Path, command: Command) -> None:
    """No two signatures are alike, so the one that is there is used again: here, and in another clone."""
    head = hub.store.head(tiny.REPO)
    for path in (None, signed / "artifacts/signatures/tiny/model.sig"):
        if path is not None:
            path.unlink()
        code, text = command("publish", tiny.SLUG)
        assert code == 0, text
        assert "holds these files already" in text
        assert hub.store.head(tiny.REPO) == head


def test_another_key_signs_again(hub: Hub, signed: Path, command: Command, tmp_path: Path) -> None:
    """A changed `publish.signing` replaces the signature alone, and the candidate of the index is the new commit."""
    before = {name: entry.oid for name, entry in hub.store.files(tiny.REPO, "main").items()}
    private, public = make_key(tmp_path / "other")
    edit(signed / "params.yaml", {"publish": {"signing": {"key": str(private)}}})
    code, text = command("publish", tiny.SLUG)
    assert code == 0, text
    after = {name: entry.oid for name, entry in hub.store.files(tiny.REPO, "main").items()}
    assert {name for name in after if after[name] != before.get(name)} == {SIGNATURE_FILE}
    assert score(tiny.SLUG, index=REGISTRY, channel="candidate", require_signature=f"key={public}")


def test_without_signing_the_old_signature_is_removed(hub: Hub, signed: Path, command: Command) -> None:
    """It would be a signature of other files."""
    edit(signed / "params.yaml", {"publish": {"signing": None}})
    tiny.build(signed, seeds={"onnx": 3}, variants=("onnx",))
    code, text = command("publish", tiny.SLUG)
    assert code == 0, text
    assert SIGNATURE_FILE not in hub.store.files(tiny.REPO, "main")
    assert "signature_sha256" not in receipt(signed)


def test_a_dry_run_shows_the_signature_and_sends_nothing(
    hub: Hub, make_project: Project, command: Command, keys: Keys
) -> None:
    """It is one more file."""
    make_project(settings={"signing": {"key": str(keys[0])}})
    code, text = command("publish", tiny.SLUG, "--dry-run")
    assert code == 0, text
    assert f"+ {SIGNATURE_FILE}" in text
    assert not hub.requests.matching("commit")


def test_a_pull_request_on_somebody_elses_repo_is_not_signed(
    hub: Hub, make_project: Project, command: Command, keys: Keys
) -> None:
    """A signature covers a whole repository, and most of that one is not ours."""
    hub.store.create_repo(tiny.REPO)
    hub.store.commit(tiny.REPO, {"README.md": b"theirs\n"})
    make_project(settings={"signing": {"key": str(keys[0])}}, pull_request=True, contents="variants")
    code, text = command("publish", tiny.SLUG)
    assert code == 0, text
    assert "tiny: not signed: the other files of acme/tiny belong to somebody else" in text
    assert SIGNATURE_FILE not in hub.store.files(tiny.REPO, "refs/pr/1")


@pytest.mark.usefixtures("signed")
def test_a_damaged_cached_signature_is_fetched_again(keys: Keys, own_cache: Path) -> None:
    """As every damaged file of the cache is."""
    signer = SignedBy(key=keys[1])
    score(tiny.REPO, require_signature=signer)
    (path,) = own_cache.rglob(SIGNATURE_FILE)
    path.write_bytes(b"damaged")
    score(tiny.REPO, require_signature=signer)
    assert json.loads(path.read_bytes())


@pytest.mark.usefixtures("signed")
def test_promote_refuses_a_release_without_the_signature_that_it_should_have(hub: Hub, command: Command) -> None:
    """An unsigned candidate is named while params.yaml says who signs; one whose signature changed is damaged."""
    index = json.loads(hub.store.read(REGISTRY, "index.json"))
    del index["models"]["tiny"]["channels"]["candidate"]["signature_sha256"]
    del index["models"]["tiny"]["history"][-1]["release"]["signature_sha256"]
    hub.store.commit(REGISTRY, {"index.json": json.dumps(index).encode()})
    code, text = command("promote", tiny.SLUG)
    assert code != 0
    assert "is not signed, and publish.signing in params.yaml says who signs" in text
    for release in (
        index["models"]["tiny"]["channels"]["candidate"],
        index["models"]["tiny"]["history"][-1]["release"],
    ):
        release["signature_sha256"] = "0" * 64
    hub.store.commit(REGISTRY, {"index.json": json.dumps(index).encode()})
    code, text = command("promote", tiny.SLUG)
    assert code != 0
    assert "model.sig differs from the manifest" in text
