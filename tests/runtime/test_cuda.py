"""CUDA without a GPU: what is asked of onnxruntime, and what becomes of a machine whose CUDA does not work.

onnxruntime itself is the real one, which has no CUDA here: exactly the case that must not pass for a GPU.
"""

import logging
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnxruntime
import pytest

from artificer import host
from artificer.backends import open_session
from artificer.backends.onnx_session import OnnxSession, check_cuda
from artificer.errors import InputError, MissingRuntimeError, SelectionError
from artificer.loading.loader import load
from artificer.loading.location import read_manifest
from artificer.manifest import MANIFEST_FILE, Host
from tests.runtime.build_folder import PAIRS
from tests.runtime.conftest import Copy, rewrite

replace = msgspec.structs.replace
GRAPH = Path("model.onnx")


@pytest.fixture
def gpu_host(monkeypatch: pytest.MonkeyPatch) -> Host:
    """This machine, as if it had a GPU and onnxruntime-gpu."""
    real = host.detect()
    package = {"onnxruntime-gpu": real.runtimes["onnxruntime"]}
    found = replace(real, accelerators=("NVIDIA H100",), runtimes=real.runtimes | package)
    monkeypatch.setattr("artificer.loading.loader.hosts.detect", lambda: found)
    return found


@pytest.fixture
def proven(copied: Copy, gpu_host: Host) -> Path:
    """A folder whose plain variant is proven on that GPU, and measured there as the fastest by far."""
    folder = copied("onnx", "onnx-O1")
    manifest, _ = read_manifest(folder)
    plain = manifest.variant("onnx")
    on_gpu = replace(plain.parity[0], device="cuda", isa_class=host.gpu_class(gpu_host.accelerators))
    variants = tuple(replace(v, parity=(*v.parity, on_gpu)) if v.id == "onnx" else v for v in manifest.variants)
    (benchmark,) = manifest.benchmarks
    subject = next(s for s in benchmark.subjects if s.id == "onnx")
    fast = replace(subject, device="cuda", rows=tuple(replace(r, inputs_per_second=1e6) for r in subject.rows))
    measured = replace(benchmark, host=gpu_host, subjects=(*benchmark.subjects, fast))
    rewrite(folder, variants=variants, benchmarks=(measured,))
    return folder


class FakeSession:
    """An InferenceSession that says it uses `providers`."""

    providers: tuple[str, ...] = ()
    asked: list[Any]
    opened: "FakeSession"

    def __init__(self, *_: Any, providers: list[Any], **__: Any):
        type(self).asked, type(self).opened = providers, self
        self.fallback = True
        node = type("Node", (), {"name": "logits"})()
        self.get_inputs = self.get_outputs = lambda: [node]

    def get_providers(self) -> list[str]:
        """What onnxruntime reports after opening."""
        return list(self.providers)

    def disable_fallback(self) -> None:
        """onnxruntime's own switch."""
        self.fallback = False


@pytest.fixture
def fake_session(monkeypatch: pytest.MonkeyPatch) -> type[FakeSession]:
    """onnxruntime with a CUDA provider in its build, and a session that may or may not get it."""
    monkeypatch.setattr(
        onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"]
    )
    monkeypatch.setattr(onnxruntime, "InferenceSession", FakeSession)
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: print("Failed to load libcudnn.so.9:  no such file"))
    return FakeSession


def test_a_session_on_cuda_computes_in_float32(
    fake_session: type[FakeSession], monkeypatch: pytest.MonkeyPatch
) -> None:
    """TensorFloat-32, the provider's default, is off, and a failing run does not move to the CPU in silence."""
    monkeypatch.setattr(fake_session, "providers", ("CUDAExecutionProvider", "CPUExecutionProvider"))
    session = open_session("onnx", GRAPH, threads=1, device="cuda")
    assert fake_session.asked == [("CUDAExecutionProvider", {"use_tf32": "0"}), "CPUExecutionProvider"]
    assert isinstance(session, OnnxSession)
    assert fake_session.opened.fallback is False
    open_session("onnx", GRAPH, threads=1)
    assert fake_session.asked == ["CPUExecutionProvider"]


def test_onnxruntimes_silent_fall_back_is_an_error(
    fake_session: type[FakeSession], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It opened the graph on the CPU although its build has CUDA: the message has what it printed about libraries."""
    monkeypatch.setattr(fake_session, "providers", ("CPUExecutionProvider",))
    with pytest.raises(MissingRuntimeError) as caught:
        open_session("onnx", GRAPH, threads=1, device="cuda")
    assert str(caught.value) == (
        f"model.onnx: expected onnxruntime with CUDA; onnxruntime {onnxruntime.__version__} offers "
        "CPUExecutionProvider. It said: Failed to load libcudnn.so.9: no such file. Install onnxruntime-gpu with "
        "CUDA and cuDNN (pip install 'artificer[cuda]'), and remove onnxruntime, whose module it replaces."
    )
    assert capsys.readouterr().out == ""


def test_a_build_without_cuda_is_refused_before_a_graph_is_opened() -> None:
    """The installed onnxruntime knows no CUDA; the graph, which does not exist, is not asked for."""
    with pytest.raises(MissingRuntimeError, match="expected onnxruntime with CUDA"):
        open_session("onnx", GRAPH, threads=1, device="cuda")
    check_cuda(GRAPH, ["CPUExecutionProvider", "CUDAExecutionProvider"])


def test_a_gpu_that_does_not_work_is_given_up_for_the_cpu(proven: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Left alone, `load` takes the next best, says why, and the scores are right."""
    with caplog.at_level(logging.WARNING, logger="artificer"), load(proven) as model:
        found = model.explain()
        assert found.device == "cpu"
        assert len(found.fallbacks) == 1
        assert found.fallbacks[0].startswith("onnx on cuda: model.onnx: expected onnxruntime with CUDA")
        assert "skipped onnx on cuda" in caplog.text
        assert found.rejected["onnx-O1 on cuda"][0].startswith("no passed parity on nvidia-h100")
        scores = model.predict(PAIRS)
    with load(proven, variant="onnx", device="cpu") as model:
        np.testing.assert_allclose(scores, model.predict(PAIRS), atol=1e-5)


def test_a_gpu_that_was_asked_for_is_not_given_up(proven: Path) -> None:
    """`device="cuda"` is refused when it cannot be had: by onnxruntime, or by the machine."""
    with pytest.raises(MissingRuntimeError, match="expected onnxruntime with CUDA"):
        load(proven, device="cuda")
    with pytest.raises(SelectionError, match="onnx-O1 was requested, but no passed parity on nvidia-h100"):
        load(proven, variant="onnx-O1", device="cuda")


def test_a_call_cannot_move_a_model(proven: Path) -> None:
    """CrossEncoder's `device` of a call: the one that it was loaded on, or none."""
    with load(proven, device="cpu") as model:
        model.predict([PAIRS[0]], device="cpu")
        with pytest.raises(InputError, match=r"was loaded on cpu, .* load it again with device='cuda'"):
            model.predict([PAIRS[0]], device="cuda")


@pytest.mark.usefixtures("gpu_host")
def test_an_old_manifest_is_read_as_the_cpus(copied: Copy) -> None:
    """Without a device in it, its proofs and figures are of a CPU; a GPU beside it changes nothing."""
    folder = copied("onnx")
    assert b'"device"' not in (folder / MANIFEST_FILE).read_bytes()
    with load(folder) as model:
        assert (model.explain().device, model.explain().fallbacks) == ("cpu", ())
