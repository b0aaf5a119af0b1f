"""The steps of suite.py for one row, in order, and what the Hub on loopback does meanwhile."""

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from artificer.hub.index import Index, Release
from artificer.manifest import MANIFEST_FILE, Manifest
from tools.compat.environments import run
from tools.compat.suite import REGISTRY, REPO, SLUG
from tools.loopback_hub import Fault, Hub, running_hub

SUITE = Path(__file__).with_name("suite.py")
_CLOSED = "http://127.0.0.1:9"  # the discard port: nobody listens


def run_steps(python: Path, published: Path) -> Iterator[tuple[str, float]]:
    """Each step as it passes, with its seconds. Raises CommandError with what the step printed."""
    with TemporaryDirectory() as scratch, running_hub(Path(scratch) / "hub") as hub:
        environment = {
            **hub.client_env(Path(scratch) / "home", hub.tokens.read),
            "ARTIFICER_CACHE": str(Path(scratch) / "cache"),
            "ARTIFICER_INDEX": "",
            "HF_HUB_OFFLINE": "",
        }

        def step(name: str, **changes: str) -> tuple[str, float]:
            start = time.perf_counter()
            run([python, "-I", SUITE, name, published], **{**environment, **changes})
            return name, time.perf_counter() - start

        index = _publish(hub, published, Index())
        yield step("folder", HF_ENDPOINT=_CLOSED)
        yield step("hub")
        yield step("offline", HF_HUB_OFFLINE="1", HF_ENDPOINT=_CLOSED)
        yield step("unreachable", HF_ENDPOINT=_CLOSED)
        newer = _publish(hub, published, index, name="newer")
        hub.faults.add(Fault("status", "resolve", path=f"*{newer.find(SLUG).revision}*", status=404, times=None))
        yield step("last_good")
        yield step("refused", HF_TOKEN="hf_wrong")


def _publish(hub: Hub, published: Path, index: Index, *, name: str | None = None) -> Index:
    """Commit the folder as a release, under another name if wanted, and enter it in the index's stable channel."""
    manifest = Manifest.from_json((published / MANIFEST_FILE).read_bytes())
    if name is not None:
        manifest = msgspec.structs.replace(manifest, name=name)
    files = {entry.path: (published / entry.path).read_bytes() for entry in manifest.published_files()}
    files[MANIFEST_FILE] = manifest.to_json()
    if not index.models:
        for repo in (REPO, REGISTRY):
            hub.store.create_repo(repo, private=True)
    commit = hub.store.commit(REPO, files)
    sha256 = hashlib.sha256(files[MANIFEST_FILE]).hexdigest()
    entered = index.published(SLUG, Release(repo=REPO, revision=commit, manifest_sha256=sha256)).promoted(SLUG)
    hub.store.commit(REGISTRY, {"index.json": entered.to_json()})
    return entered
