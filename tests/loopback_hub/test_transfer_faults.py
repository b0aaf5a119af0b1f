"""Faults of the loopback Hub that cut, stall or corrupt an upload or a download."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import HfApi, constants

from tests.loopback_hub.client import LOST, TRIES_AGAIN, add, commit, contents, noise, sha256
from tools.loopback_hub import Fault, Hub


@pytest.mark.parametrize(("route", "size"), [("lfs_upload", 900_000), ("lfs_part", 1_100_000)])
@pytest.mark.usefixtures("model")
def test_cut_upload(api: HfApi, hub: Hub, route: str, size: int) -> None:
    """An upload that is cut leaves nothing behind, and the client sends it again."""
    fault = hub.faults.add(Fault("cut_upload", route, after=int(route == "lfs_part")))
    commit(api, add("new.onnx", noise(size)))
    cut = [record for record in hub.requests.uploads if record.fault]
    assert fault.fired == len(cut) == 1
    assert (cut[0].status, cut[0].bytes_received >= 200_000) == (None, True)
    assert hub.requests.uploaded_bytes == size + cut[0].bytes_received
    assert contents(hub.store)["new.onnx"] == noise(size)
    assert list((hub.store.root / "uploads").iterdir()) == []


@pytest.mark.parametrize(("route", "size"), [("lfs_upload", 900_000), ("lfs_part", 1_100_000)])
@pytest.mark.parametrize("detected_by", ["storage", "verify"])
@pytest.mark.usefixtures("model")
def test_corrupted_upload_that_is_noticed(api: HfApi, hub: Hub, route: str, size: int, detected_by: Any) -> None:
    """A damaged upload is refused by the storage or by the verify action, and a second try succeeds."""
    hub.faults.add(Fault("corrupt_upload", route, detected_by=detected_by, at_byte=100))
    with pytest.raises(RuntimeError, match=r"Error while uploading 'new\.onnx' to the Hub") as caught:
        commit(api, add("new.onnx", noise(size)))
    assert ("BadDigest" if detected_by == "storage" else "was not uploaded") in str(caught.value.__cause__)
    assert "new.onnx" not in contents(hub.store)
    commit(api, add("new.onnx", noise(size)))
    assert contents(hub.store)["new.onnx"] == noise(size)


@pytest.mark.parametrize(("route", "size"), [("lfs_upload", 900_000), ("lfs_part", 1_100_000)])
def test_corrupted_upload_that_nobody_notices(
    api: HfApi, hub: Hub, model: str, route: str, size: int, tmp_path: Path
) -> None:
    """The Hub can acknowledge damaged bytes: they are served under the hash that was announced."""
    hub.faults.add(Fault("corrupt_upload", route, detected_by="nobody", at_byte=100))
    commit(api, add("new.onnx", noise(size)))
    data = Path(api.hf_hub_download(model, "new.onnx", cache_dir=tmp_path)).read_bytes()
    assert [index for index, pair in enumerate(zip(data, noise(size), strict=True)) if len(set(pair)) == 2] == [100]
    assert hub.store.files(model)["new.onnx"].lfs == sha256(noise(size))


def test_cut_download(api: HfApi, hub: Hub, model: str, tmp_path: Path) -> None:
    """A download that is cut is an error, and the next one asks for the rest only."""
    data = noise(11_000_000)
    hub.store.commit(model, {"big.onnx": data})
    hub.faults.add(Fault("cut_download", "download", at_byte=10_900_000))
    with nullcontext() if TRIES_AGAIN else pytest.raises(LOST):
        api.hf_hub_download(model, "big.onnx", cache_dir=tmp_path)
    assert Path(api.hf_hub_download(model, "big.onnx", cache_dir=tmp_path)).read_bytes() == data
    first, second = hub.requests.matching("download")
    assert (first.range, first.bytes_sent) == (None, 10_900_000)
    # the client keeps whole blocks of 10 MiB
    assert (second.range, second.status, second.bytes_sent) == ("bytes=10485760-", 206, 514_240)


def test_stalled_download(api: HfApi, hub: Hub, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A download that stalls is given up after the client's timeout and resumed in the same call."""
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.3)
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1_000)
    hub.faults.add(Fault("stall_download", "download", at_byte=2_500))
    path = api.hf_hub_download(model, "onnx/model.onnx", cache_dir=tmp_path)
    assert Path(path).read_bytes() == noise(5_000)
    assert [record.range for record in hub.requests.matching("download")] == [None, "bytes=2000-"]


def test_corrupted_download(api: HfApi, hub: Hub, model: str, tmp_path: Path) -> None:
    """The client takes bytes that were damaged on the way: whoever relies on them must check the hash."""
    hub.faults.add(Fault("corrupt_download", "download", at_byte=10))
    data = Path(api.hf_hub_download(model, "onnx/model.onnx", cache_dir=tmp_path)).read_bytes()
    assert (len(data), data[10] ^ noise(5_000)[10], data[11:]) == (5_000, 1, noise(5_000)[11:])


def test_tampered_file(api: HfApi, hub: Hub, model: str, tmp_path: Path) -> None:
    """Stored bytes can change behind a commit: its id and every hash stay the same."""
    before = api.model_info(model, files_metadata=True)
    hub.store.tamper(model, "onnx/model.onnx", noise(5_000, seed=9))
    assert api.model_info(model, files_metadata=True) == before
    path = api.hf_hub_download(model, "onnx/model.onnx", revision=before.sha, cache_dir=tmp_path)
    assert Path(path).read_bytes() == noise(5_000, seed=9)
