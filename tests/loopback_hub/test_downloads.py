"""Downloads from the loopback Hub with the real client."""

from pathlib import Path

import pytest
import requests
from huggingface_hub import HfApi, get_hf_file_metadata, hf_hub_url
from huggingface_hub.errors import (
    EntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from tests.loopback_hub.client import contents, noise, sha256
from tools.loopback_hub import Hub


def test_download(api: HfApi, hub: Hub, model: str, tmp_path: Path) -> None:
    """A small file is named by its blob id, a large one by its sha256 and served from storage; both are cached."""
    for path, etag in (("config.json", "0967ef424bce6791893e9a57bb952f80fd536e93"), ("onnx/model.onnx", "")):
        local = Path(api.hf_hub_download(model, path, cache_dir=tmp_path))
        assert local.read_bytes() == contents(hub.store)[path]
        assert local.resolve().name == (etag or sha256(noise(5_000)))
        assert local.parts[-2 - path.count("/")] == hub.store.head(model)
    assert len(hub.requests.matching("download")) == 1
    hub.requests.clear()
    api.hf_hub_download(model, "onnx/model.onnx", cache_dir=tmp_path)
    assert [(record.route, record.method) for record in hub.requests] == [("resolve", "HEAD")]


def test_download_errors(api: HfApi, model: str, tmp_path: Path) -> None:
    """A missing file, revision and repo are told apart."""
    for repo, path, revision, error in (
        (model, "absent.json", None, EntryNotFoundError),
        (model, "config.json", "absent", RevisionNotFoundError),
        (model, "config.json", "f" * 40, RevisionNotFoundError),
        ("acme/absent", "config.json", None, RepositoryNotFoundError),
    ):
        with pytest.raises(error):
            api.hf_hub_download(repo, path, revision=revision, cache_dir=tmp_path)
    assert api.file_exists(model, "config.json")
    assert not api.file_exists(model, "absent.json")
    assert not api.file_exists("acme/absent", "config.json")


def test_file_metadata(hub: Hub, model: str) -> None:
    """The headers name the commit, the size and the hash, and nothing that would lead the client to Xet."""
    url = hf_hub_url(model, "onnx/model.onnx", endpoint=hub.endpoint)
    metadata = get_hf_file_metadata(url)
    assert (metadata.commit_hash, metadata.etag) == (hub.store.head(model), sha256(noise(5_000)))
    assert (metadata.size, metadata.xet_file_data) == (5_000, None)
    storage = hub.endpoint.replace("127.0.0.1", "localhost")
    assert metadata.location.startswith(f"{storage}/_storage/objects/")
    assert requests.get(metadata.location.split("?")[0], timeout=5).status_code == 403


def test_snapshot(api: HfApi, hub: Hub, model: str, tmp_path: Path) -> None:
    """A snapshot holds the files of the revision it was requested, and of that only."""
    old = hub.store.head(model)
    hub.store.commit(model, {"config.json": b'{"new": 1}\n'})
    folder = Path(api.snapshot_download(model, revision=old, cache_dir=tmp_path, allow_patterns=["*.json", "onnx/*"]))
    assert folder.name == old
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} == {
        "config.json",
        "onnx/model.onnx",
    }
    assert (folder / "config.json").read_bytes() == b"{}\n"


@pytest.mark.parametrize("path", ["config.json", "onnx/model.onnx"])
def test_ranges(hub: Hub, model: str, path: str) -> None:
    """A part of a file is served as 206, a part beyond its end refused as 416."""
    url = hf_hub_url(model, path, endpoint=hub.endpoint)
    data = contents(hub.store)[path]
    part = requests.get(url, headers={"Range": "bytes=1-"}, timeout=5)
    assert (part.status_code, part.content) == (206, data[1:])
    assert part.headers["Content-Range"] == f"bytes 1-{len(data) - 1}/{len(data)}"
    beyond = requests.get(url, headers={"Range": f"bytes={len(data)}-"}, timeout=5)
    assert (beyond.status_code, beyond.headers["Content-Range"]) == (416, f"bytes */{len(data)}")
