"""Services: a model's name is all they need; what was looked up is what is loaded; no network is no outage."""

import hashlib
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

import artificer
from artificer import FetchError, IntegrityError, ModelIndex, ModelIndexError
from artificer.errors import ManifestError
from artificer.hub.index import Index, Release, _warn_of_old_variable
from tests.hub_publish import tiny
from tests.hub_publish.conftest import Command, Project
from tests.hub_publish.test_sources import NO_SOCKETS
from tools.loopback_hub import Fault, Hub

REGISTRY = "acme/registry"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of one's own."""
    monkeypatch.setenv("ARTIFICER_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ARTIFICER_INDEX", raising=False)
    return tmp_path / "cache"


@pytest.fixture
def published(hub: Hub, make_project: Project, cache: Path) -> Path:
    """Two builds on the Hub: the first is stable, the second candidate. Their logits differ."""
    root = make_project(settings={"index": {"repo": REGISTRY}})
    index = Index()
    for repo in (tiny.REPO, REGISTRY):
        hub.store.create_repo(repo, private=True)
    for seed in (1, 2):
        files = tiny.contents(root, tiny.build(root, seeds={"onnx": seed}, variants=("onnx",)))
        commit = hub.store.commit(tiny.REPO, files)
        sha256 = hashlib.sha256(files["manifest.json"]).hexdigest()
        index = index.published(tiny.SLUG, Release(repo=tiny.REPO, revision=commit, manifest_sha256=sha256))
        index = index if seed == 2 else index.promoted(tiny.SLUG)
    hub.store.commit(REGISTRY, {"index.json": index.to_json()})
    assert cache.parent.is_dir()
    return root


def golden(reranker: artificer.Reranker) -> float:
    """The seed that the loaded graph was made from."""
    with reranker:
        logit = reranker.predict([tiny.PAIR], activation_fn="identity")[0]
    return next(seed for seed in range(1, 5) if abs(tiny.logit(seed) - float(logit)) < 1e-3)


def script(text: str, environment: dict[str, str], *, sockets: bool) -> subprocess.CompletedProcess[str]:
    """Run a script in a process of its own, with or without the right to open a socket."""
    guard = NO_SOCKETS.partition("from stages")[0] if not sockets else ""
    return subprocess.run(
        [sys.executable, "-c", guard + text],
        env={**os.environ, "PYTHONPATH": str(tiny.REPOSITORY), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.usefixtures("published")
def test_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name and a registry, or a name alone with the variable set, load what the channel holds."""
    assert golden(artificer.load(tiny.SLUG, index=REGISTRY)) == 1
    assert golden(artificer.load(tiny.SLUG, index=REGISTRY, channel="candidate")) == 2
    monkeypatch.setenv("ARTIFICER_INDEX", REGISTRY)
    assert golden(artificer.load(tiny.SLUG)) == 1
    with pytest.raises(ModelIndexError, match=r"no model 'other'; it has: tiny\."):
        artificer.load("other")


@pytest.mark.usefixtures("published")
def test_listing(hub: Hub) -> None:
    """A registry lists and describes its models; of a model it reads the manifest alone."""
    registry = ModelIndex(REGISTRY)
    assert list(registry) == [tiny.SLUG]
    found = registry.describe(tiny.SLUG)
    assert found.variants.keys() == {"onnx"}
    assert (found.license, found.max_length) == ("mit", 64)
    assert found.channels.keys() == {"stable", "candidate"}
    asked = {record.path.rpartition("/")[2] for record in hub.requests.matching("resolve")}
    assert asked == {"index.json", "manifest.json"}


@pytest.mark.usefixtures("published")
def test_straight_from_a_repo(hub: Hub) -> None:
    """A repo id with a commit, a branch or a pull request's revision, and a folder, load without a registry."""
    assert golden(artificer.load(tiny.REPO)) == 2
    assert golden(artificer.load(tiny.REPO, revision=hub.store.head(tiny.REPO))) == 2
    first = ModelIndex(REGISTRY).find(tiny.SLUG).revision
    assert golden(artificer.load(tiny.REPO, revision=first)) == 1
    assert hub.requests


def test_pull_request_revision(hub: Hub, command: Command, make_project: Project, cache: Path) -> None:
    """A proposed package loads from its pull request."""
    root = make_project(pull_request=True)
    tiny.build(root, seeds={"onnx": 3}, variants=("onnx",))
    hub.store.create_repo(tiny.REPO, private=True)
    assert command("publish", tiny.SLUG)[0] == 0
    assert golden(artificer.load(tiny.REPO, revision="refs/pr/1", cache=cache)) == 3


def test_from_a_folder(command: Command, make_project: Project, cache: Path) -> None:
    """A registry in a folder needs neither Hub nor cache."""
    root = make_project(settings={"target": "folder", "index": {"folder": "dist"}})
    for seed in (1, 2):
        tiny.build(root, seeds={"onnx": seed}, variants=("onnx",))
        assert command("publish", tiny.SLUG)[0] == 0
        if seed == 1:
            assert command("promote", tiny.SLUG)[0] == 0
    assert golden(artificer.load(tiny.SLUG, index=root / "dist")) == 1
    assert golden(artificer.load(tiny.SLUG, index=root / "dist", channel="candidate")) == 2
    assert ModelIndex(root / "dist").describe(tiny.SLUG).release.revision is None
    assert not (cache / "indexes").exists()


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize("fault", [Fault("status", "*", status=503, times=None), Fault("reset", "*", times=None)])
def test_hub_away(hub: Hub, caplog: pytest.LogCaptureFixture, fault: Fault) -> None:
    """A service that ran before starts while the Hub is away, with the same files, and says so."""
    assert golden(artificer.load(tiny.SLUG, index=REGISTRY)) == 1
    hub.faults.add(fault)
    with caplog.at_level(logging.WARNING, "artificer"):
        assert golden(artificer.load(tiny.SLUG, index=REGISTRY)) == 1
    assert "acme/registry: the index cannot be read" in caplog.text
    registry = ModelIndex(REGISTRY)
    registry.refresh()
    assert registry.stale_reason is not None
    with pytest.raises(FetchError):
        artificer.load(tiny.SLUG, index=REGISTRY, channel="candidate")


@pytest.mark.usefixtures("published")
def test_hub_goes_away_in_the_middle(hub: Hub, command: Command, caplog: pytest.LogCaptureFixture) -> None:
    """When the index is new and its model cannot be fetched, the service starts from what it loaded last."""
    assert golden(artificer.load(tiny.SLUG, index=REGISTRY)) == 1
    assert command("promote", tiny.SLUG)[0] == 0
    hub.faults.add(Fault("status", "resolve", path="*acme/tiny*", status=503, times=None))
    with caplog.at_level(logging.WARNING, "artificer"):
        assert golden(artificer.load(tiny.SLUG, index=REGISTRY)) == 1
    assert "which was loaded last" in caplog.text
    hub.faults.clear()
    assert golden(artificer.load(tiny.SLUG, index=REGISTRY)) == 2


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize("how", ["argument", "variable"])
def test_offline_opens_no_socket(hub: Hub, cache: Path, tmp_path: Path, how: str) -> None:
    """Offline, a warm service starts without a socket and without importing the client; a cold one says what to do."""
    assert golden(artificer.load(tiny.SLUG, index=REGISTRY)) == 1
    option = ", offline=True" if how == "argument" else ""
    environment = hub.client_env(tmp_path / "elsewhere") | {"ARTIFICER_CACHE": str(cache)}
    environment |= {"HF_HUB_OFFLINE": "1"} if how == "variable" else {}
    text = f"import artificer\nmodel = artificer.load('tiny', index='{REGISTRY}'{option})\nmodel.predict([{tiny.PAIR}])"
    done = script(text + "\nassert 'huggingface_hub' not in sys.modules", environment, sockets=False)
    assert done.returncode == 0, done.stderr
    cold = script(text, environment | {"ARTIFICER_CACHE": str(tmp_path / "cold")}, sockets=False)
    assert "FetchError: acme/registry: the network is off, and there is no cached copy." in cold.stderr


@pytest.mark.usefixtures("published")
def test_refused(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refusal is no outage: without the right to read, the kept copy is not used."""
    artificer.load(tiny.SLUG, index=REGISTRY).close()
    monkeypatch.setenv("HF_TOKEN", hub.tokens.add("stranger", "read").value)
    with pytest.raises(FetchError, match="RepositoryNotFoundError"):
        artificer.load(tiny.SLUG, index=REGISTRY)


@pytest.mark.usefixtures("published")
def test_manifest_that_was_replaced(hub: Hub) -> None:
    """A manifest behind the indexed commit that is not the indexed one is refused, also by `describe`."""
    release = ModelIndex(REGISTRY).find(tiny.SLUG)
    index = Index().published(
        tiny.SLUG, Release(repo=release.repo, revision=release.revision, manifest_sha256="0" * 64)
    )
    hub.store.commit(REGISTRY, {"index.json": index.promoted(tiny.SLUG).to_json()})
    with pytest.raises(IntegrityError, match="expected 0000000"):
        artificer.load(tiny.SLUG, index=REGISTRY)
    with pytest.raises(IntegrityError, match="expected 0000000"):
        ModelIndex(REGISTRY).describe(tiny.SLUG)


@pytest.mark.usefixtures("published")
def test_damaged_cache(cache: Path) -> None:
    """A manifest that was damaged in the cache is fetched again."""
    artificer.load(tiny.SLUG, index=REGISTRY).close()
    for path in (cache / "models").rglob("manifest.json"):
        path.write_bytes(b"{}")
    assert golden(artificer.load(tiny.SLUG, index=REGISTRY)) == 1


def test_links_out_of_the_folder(command: Command, make_project: Project, tmp_path: Path, cache: Path) -> None:
    """A link that leads out of a registry's folder is not followed."""
    root = make_project(settings={"target": "folder", "index": {"folder": "dist"}})
    assert command("publish", tiny.SLUG)[0] == 0
    (root / "dist" / "releases").rename(tmp_path / "elsewhere")
    (root / "dist" / "releases").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ModelIndexError, match=r"is outside the index's folder, through a link\."):
        artificer.load(tiny.SLUG, index=root / "dist", channel="candidate", cache=cache)


@pytest.mark.parametrize("name", ["../out", "no such thing", "acme/a/b", ""])
def test_no_registry(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is neither a folder nor a repo id is refused before anything is asked."""
    monkeypatch.delenv("ARTIFICER_INDEX", raising=False)
    with pytest.raises(ModelIndexError, match=r"expected a folder with an index\.json|No index is named"):
        ModelIndex(name)


@pytest.mark.usefixtures("published")
def test_revision_beside_a_registry() -> None:
    """The registry says which revision; another one beside it is a contradiction."""
    with pytest.raises(ModelIndexError, match="the index says which revision"):
        artificer.load(tiny.SLUG, index=REGISTRY, revision="main")


@pytest.mark.usefixtures("published", "cache")
def test_a_hub_that_does_not_answer_is_unreachable(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A connection that stays silent ends after some seconds, and the last known commit is used."""
    assert golden(artificer.load(tiny.REPO)) == 2
    monkeypatch.setattr("artificer.hub.client._TIMEOUT", 0.05)
    hub.faults.add(Fault("slow", "info", delay=1.0, times=None))
    assert golden(artificer.load(tiny.REPO)) == 2
    assert "the Hub cannot be reached" in caplog.text


@pytest.mark.usefixtures("published")
def test_the_fallback_is_looked_at_after_a_failure_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A load that succeeds does not depend on what was loaded last."""
    artificer.load(tiny.SLUG, index=REGISTRY).close()

    def fail(*_: object) -> None:
        raise AssertionError("looked at")

    monkeypatch.setattr(ModelIndex, "locate_last_loaded", fail)
    assert golden(artificer.load(tiny.SLUG, index=REGISTRY)) == 1


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize(
    "data", [b"\xff", b'{"repo": "releases/x", "revision": null, "manifest_sha256": "%s"}' % (b"0" * 64)]
)
def test_a_record_that_cannot_be_used_is_no_record(cache: Path, data: bytes) -> None:
    """Damaged bytes, or a release in a folder: the next load writes the record again."""
    artificer.load(tiny.SLUG, index=REGISTRY).close()
    (record,) = (cache / "indexes").rglob("tiny.stable.json")
    good = record.read_bytes()
    record.write_bytes(data)
    assert ModelIndex(REGISTRY).locate_last_loaded(tiny.SLUG) is None
    assert golden(artificer.load(tiny.SLUG, index=REGISTRY)) == 1
    assert record.read_bytes() == good


@pytest.mark.usefixtures("published")
def test_a_damaged_manifest_in_a_read_only_cache(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It cannot be removed, and is refused as what it is."""
    artificer.load(tiny.SLUG, index=REGISTRY).close()
    for path in (cache / "models").rglob("manifest.json"):
        path.write_bytes(path.read_bytes() + b"\n")

    def refuse(path: Path, **_: bool) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(IntegrityError, match="the manifest has sha256"):
        artificer.load(tiny.SLUG, index=REGISTRY)


def test_the_old_variable_is_named_once(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """ARTIFICER_REGISTRY is not read; where it alone is set, a look-up by name says so."""
    monkeypatch.delenv("ARTIFICER_INDEX", raising=False)
    monkeypatch.setenv("ARTIFICER_REGISTRY", REGISTRY)
    _warn_of_old_variable.cache_clear()
    for _ in range(2):
        with pytest.raises(ManifestError, match="this folder does not exist"):
            artificer.load("minilm")
    assert caplog.text.count("ARTIFICER_REGISTRY is set, which is not read any more: set ARTIFICER_INDEX") == 1
