"""A Hub on loopback for one test, and clients with different rights."""

from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import pytest
from huggingface_hub import HfApi, constants

from tests.loopback_hub.client import noise
from tools.loopback_hub import Hub, loopback_only, running_hub


@pytest.fixture(autouse=True)
def _isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No test waits between retries, leaves this machine, or sees the user's cache, token or proxy."""
    no_wait = SimpleNamespace(sleep=lambda _: None)
    monkeypatch.setattr("huggingface_hub.utils._http.time", no_wait)
    monkeypatch.setattr("huggingface_hub.file_download.time", no_wait)
    for name in ("HF_HOME", "HF_HUB_CACHE", "HF_TOKEN_PATH", "HF_STORED_TOKENS_PATH"):
        monkeypatch.setattr(constants, name, str(tmp_path / "home" / name))
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    if version("huggingface_hub").split(".")[0] != "0":  # by Xet alone, where hf_xet is installed
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    with loopback_only():
        yield


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    """Run a Hub that takes uploads above 1 MB in parts."""
    with running_hub(tmp_path / "hub", multipart_threshold=1_000_000, part_size=400_000) as running:
        yield running


@pytest.fixture
def api(hub: Hub) -> HfApi:
    """Return a client that may write to acme."""
    return HfApi(endpoint=hub.endpoint, token=hub.tokens.write.value)


@pytest.fixture
def reader(hub: Hub) -> HfApi:
    """Return a client that may read what is acme's."""
    return HfApi(endpoint=hub.endpoint, token=hub.tokens.read.value)


@pytest.fixture
def stranger(hub: Hub) -> HfApi:
    """Return a client of a user outside acme, who may write to repos of their own."""
    return HfApi(endpoint=hub.endpoint, token=hub.tokens.add("stranger", "write").value)


@pytest.fixture
def anonymous(hub: Hub) -> HfApi:
    """Return a client without a token."""
    return HfApi(endpoint=hub.endpoint, token=False)


@pytest.fixture
def model(hub: Hub) -> str:
    """Create acme/model with a small and a large file."""
    hub.store.create_repo("acme/model")
    hub.store.commit("acme/model", {"config.json": b"{}\n", "onnx/model.onnx": noise(5_000)}, message="Add the model")
    return "acme/model"
