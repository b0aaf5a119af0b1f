"""Checkpoints from the Hub: pinned to a commit and to bytes, fetched with as little as possible, refused when odd."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import constants

from stages.core import paths
from tests.hub_publish import tiny
from tests.hub_publish.conftest import Command
from tools.loopback_hub import Fault, Hub

DEMO = tiny.REPOSITORY / "registry" / "demo" / "reranker"
REPO = "acme/base"
NO_SOCKETS = """
import sys

def refuse(event, _):
    if event in ("socket.connect", "socket.getaddrinfo"):
        raise SystemExit("a socket was opened")

sys.addaudithook(refuse)
from stages.cli import main
sys.exit(main(sys.argv[1:]))
"""
NOT_NEEDED = {
    "pytorch_model.bin": b"\x80pickle",
    "model.onnx": b"\0graph",
    "onnx/config.json": b"{}",
    "README.md": b"---\nlicense: mit\n---\n",
    "training_args.bin": b"\x80",
}


def checkpoint() -> dict[str, bytes]:
    """A checkpoint of a hundred bytes of weights with the demo's configuration and tokenizer."""
    header = json.dumps({"classifier.weight": {"dtype": "F32", "shape": [25], "data_offsets": [0, 100]}}).encode()
    weights = len(header).to_bytes(8, "little") + header + bytes(100)
    names = ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")
    return {"model.safetensors": weights, **{name: (DEMO / name).read_bytes() for name in names}}


@pytest.fixture
def repo(hub: Hub, project: Path) -> str:
    """acme/base with a checkpoint and much beside it; an empty registry."""
    hub.store.create_repo(REPO)
    hub.store.commit(REPO, checkpoint() | NOT_NEEDED)
    tiny.write_yaml(project / "registry" / "models.yaml", {"models": {}})
    return REPO


def lock() -> dict[str, Any]:
    """The pin of `base`."""
    return dict(json.loads(paths.lock("base").read_text()))


def test_add(hub: Hub, repo: str, command: Command) -> None:
    """`add` pins the commit, and size and sha256 of each needed file, and downloads no other."""
    code, text = command("add", repo)
    assert code == 0, text
    found = lock()
    assert found["revision"] == hub.store.head(repo)
    assert [entry["path"] for entry in found["files"]] == sorted(checkpoint())
    assert all(len(entry["sha256"]) == 64 and entry["size"] for entry in found["files"])
    asked = {record.path.rpartition("/")[2] for record in hub.requests.matching("resolve")}
    assert asked == set(checkpoint())
    entry = yaml.safe_load(paths.REGISTRY.read_text())["models"]["base"]
    assert entry["source"] == {"repo": repo, "revision": "main"}


def test_cut_download(hub: Hub, repo: str, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """A download that was cut goes on where it stopped."""
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 20)  # the client keeps whole blocks
    hub.faults.add(Fault("cut_download", "download", at_byte=60))
    code, text = command("add", repo)
    assert code == 0, text
    assert [record.range for record in hub.requests.matching("download")] == [None, "bytes=60-"]


def test_network_off(hub: Hub, repo: str, command: Command, tmp_path: Path) -> None:
    """What was fetched once is fetched again from the cache without a socket; what was not says so."""
    command("add", repo)
    environment = {**os.environ, **hub.client_env(tmp_path / "home"), "HF_HUB_OFFLINE": "1"}
    environment["PYTHONPATH"] = str(tiny.REPOSITORY)
    for arguments, code, message in (
        (["fetch", "base"], 0, "acme/base at"),
        (["pin", "base"], 4, "error: acme/base at main: the network is off (HF_HUB_OFFLINE). Unset it and run again."),
    ):
        script = [sys.executable, "-c", NO_SOCKETS, *arguments]
        done = subprocess.run(script, env=environment, capture_output=True, text=True, check=False)
        assert (done.returncode, message in done.stdout + done.stderr) == (code, True), done.stderr


def test_damaged_cache(hub: Hub, repo: str, command: Command, tmp_path: Path) -> None:
    """A damaged file in the cache is downloaded again, once."""
    command("add", repo)
    blob = next((tmp_path / "home" / "hub").rglob("snapshots/*/model.safetensors")).resolve()
    blob.write_bytes(b"x" * blob.stat().st_size)
    hub.requests.clear()
    code, text = command("fetch", "base")
    assert code == 0, text
    assert len(hub.requests.matching("download")) == 1


def test_changed_under_the_same_commit(hub: Hub, repo: str, command: Command) -> None:
    """Other bytes under the pinned commit are refused, with both hashes."""
    command("add", repo)
    hub.store.tamper(repo, "config.json", (DEMO / "config.json").read_bytes().replace(b"1", b"2", 1))
    _empty_cache()
    code, text = command("fetch", "base")
    assert code == 4
    assert "acme/base is not what was pinned:\n  config.json: locked " in text
    assert "A commit never changes: the copy is damaged, or the repo was tampered with." in text
    assert not paths.source("base").exists()


def test_listed_otherwise(hub: Hub, repo: str, command: Command) -> None:
    """`add` pins nothing when the Hub gives other bytes than it lists."""
    hub.store.tamper(repo, "model.safetensors", b"x" * len(checkpoint()["model.safetensors"]))
    code, text = command("add", repo)
    assert code == 4
    assert "model.safetensors was downloaded twice, and differs from what the Hub lists." in text
    assert not paths.lock("base").exists()


def test_renamed(hub: Hub, repo: str, command: Command) -> None:
    """A renamed repo: `add` tells the new name, and an older pin still fetches the same bytes."""
    command("add", repo)
    hub.store.move_repo(repo, "acme/newer")
    code, text = command("pin", "base")
    assert code == 4
    assert "acme/base was renamed to acme/newer on the Hub: write that as `source.repo`, then pin it." in text
    _empty_cache()
    code, text = command("fetch", "base")
    assert code == 0, text


def test_moved_tag(hub: Hub, repo: str, command: Command) -> None:
    """A tag that moved changes nothing until it is pinned again, and `pin` says what changed."""
    hub.store.set_ref(repo, "refs/tags/v1", hub.store.head(repo))
    command("add", repo, "--revision", "v1")
    before = lock()["revision"]
    hub.store.commit(repo, {"config.json": checkpoint()["config.json"] + b"\n"})
    hub.store.set_ref(repo, "refs/tags/v1", hub.store.head(repo))
    code, text = command("fetch", "base")
    assert (code, lock()["revision"]) == (0, before), text
    code, text = command("pin", "base")
    assert (code, lock()["revision"]) == (0, hub.store.head(repo))
    assert "config.json changed" in text


def test_unsafe_names(hub: Hub, repo: str, command: Command, project: Path) -> None:
    """A name that would climb out of the folder never reaches the disk."""
    hub.store.commit(repo, {"model-../../../evil.safetensors": b"\0", "model-00001-of-1.safetensors/../../e": b"\0"})
    code, text = command("add", repo)
    assert code == 0, text
    assert [entry["path"] for entry in lock()["files"]] == sorted(checkpoint())
    assert not list(project.rglob("evil*"))


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (Fault("status", "info", status=401, times=None), "the Hub refused the token (401)"),
        (Fault("status", "info", status=403, times=None), "the token may not do this (403)"),
        (Fault("status", "info", status=404, times=None), "the Hub answered 404"),
        (Fault("status", "info", status=429, times=None), "the Hub limits requests (429)"),
        (
            Fault("status", "info", status=500, times=None),
            "the Hub keeps failing (500). Run again later.",
        ),
        (Fault("reset", "info", times=None), "the Hub cannot be reached or did not finish"),
        (Fault("status", "resolve", status=429, times=None), "the Hub limits requests (429)"),
        (Fault("status", "resolve", status=503, times=None), "the Hub keeps failing (503)"),
    ],
    ids=lambda value: f"{value.kind}-{value.route}-{value.status}" if isinstance(value, Fault) else "",
)
def test_refusals(hub: Hub, repo: str, command: Command, fault: Fault, message: str) -> None:
    """Every way to fail is one line that says what happened, and writes nothing."""
    hub.faults.add(fault)
    code, text = command("add", repo)
    hub.faults.clear()
    assert code == 4
    assert message in text
    assert text.startswith("error: ")
    assert "Traceback" not in text
    assert not paths.lock("base").exists()


def test_trouble_that_passes(hub: Hub, repo: str, command: Command) -> None:
    """A 429 and a 503 on the way are waited out."""
    hub.faults.add(Fault("status", "info", status=429, retry_after=1))
    hub.faults.add(Fault("status", "resolve", status=503))
    code, text = command("add", repo)
    assert code == 0, text


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("acme/none", "acme/none: no such repo on the Hub, or it is private. Check the name, or set HF_TOKEN"),
        ("acme/gated", "acme/gated is gated: ask for access on its page on the Hub, then set HF_TOKEN"),
        ("acme/base", "acme/base has no revision 'v9': moved or deleted."),
    ],
)
def test_not_there(
    hub: Hub, repo: str, command: Command, monkeypatch: pytest.MonkeyPatch, name: str, message: str
) -> None:
    """A missing, a gated and a revision-less repo each have their own message."""
    hub.store.create_repo("acme/gated", gated="manual")
    hub.store.commit("acme/gated", checkpoint())
    monkeypatch.setenv("HF_TOKEN", hub.tokens.add("stranger", "read").value)
    code, text = command("add", name, *(["--revision", "v9"] if name == repo else []))
    assert code == 4
    assert message in text


def _empty_cache() -> None:
    shutil.rmtree(constants.HF_HUB_CACHE, ignore_errors=True)
