"""ONNX graphs on onnxruntime's CPU and CUDA providers."""

import contextlib
import io
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from artificer.backends import Inputs
from artificer.backends.stream_pool import PooledSession, Run, StreamPool, pays
from artificer.errors import MissingRuntimeError
from artificer.manifest import Device, ExecutionPrecision, Runtime

# onnxruntime reports its use to its makers over the network, and reads this when it is imported: a runtime that was
# asked to stay offline opens no socket. Whoever wants the reports sets the variable to 0.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
import onnxruntime as ort

ort.set_default_logger_severity(3)  # errors only: warnings about optional fusions are noise for a service


_CUDA = "CUDAExecutionProvider"
# TensorFloat-32 keeps 10 bits of a float32's mantissa, and is the provider's default: fp32 variants are to be float32.
_PROVIDERS: dict[Device, list[Any]] = {
    "cpu": ["CPUExecutionProvider"],
    "cuda": [(_CUDA, {"use_tf32": "0"}), "CPUExecutionProvider"],
}


class OnnxSession(PooledSession):
    """An `onnxruntime.InferenceSession`. onnxruntime computes in the graph's own types, so its precision is f32."""

    runtime: Runtime = "onnx"
    execution_precision: ExecutionPrecision = "f32"
    compiles_per_shape = False

    def __init__(self, graph: Path, *, threads: int, device: Device = "cpu"):
        side_by_side = device == "cpu" and pays(graph, threads)
        super().__init__(StreamPool(threads, graph, lambda: self._opened(graph)) if side_by_side else None)
        self._session: ort.InferenceSession | None = _open(graph, threads, device)
        self.input_names = tuple(node.name for node in self._session.get_inputs())
        names = [node.name for node in self._session.get_outputs()]
        self._output = "logits" if "logits" in names else names[0]

    def _compute(self, inputs: Inputs) -> NDArray[np.float32]:
        assert self._session is not None
        return self._logits(self._session, inputs)

    def _opened(self, graph: Path) -> Run:
        return partial(self._logits, _open(graph, 1))

    def _logits(self, session: ort.InferenceSession, inputs: Inputs) -> NDArray[np.float32]:
        (logits,) = session.run([self._output], dict(inputs))
        return np.asarray(logits, dtype=np.float32)  # float16 ones (O4) are widened

    def _release(self) -> None:
        self._session = None


def _open(graph: Path, threads: int, device: Device = "cpu") -> ort.InferenceSession:
    said = _load_cuda(graph) if device == "cuda" else ""
    session = ort.InferenceSession(str(graph), sess_options=session_options(threads), providers=_PROVIDERS[device])
    if device == "cuda":
        check_cuda(graph, session.get_providers(), said)
        session.disable_fallback()  # else a failed run would move to the CPU for good, and only print so
    return session


def session_options(threads: int) -> ort.SessionOptions:
    """One pool of `threads`, nodes in sequence.

    Workers spin for a millisecond only: that bridges the gap between two nodes, which keeps single requests
    fast, and ends with the request. onnxruntime's own default spins on, which uses up a container's quota, and beside
    other work costs more than it gains. (Older versions than the option's ignore it.)
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.add_session_config_entry("session.intra_op.spin_duration_us", "1000")
    return options


def check_cuda(graph: Path, providers: Sequence[str], said: str = "") -> None:
    """Raise MissingRuntimeError unless CUDA is among `providers`, with what onnxruntime `said` about its libraries.

    Asked for CUDA where it cannot be had, onnxruntime opens a graph on the CPU and returns as if nothing had happened.
    """
    if _CUDA not in providers:
        more = f" It said: {said}." if said else ""
        raise MissingRuntimeError(
            f"{graph.name} was to run on CUDA, and onnxruntime {ort.__version__} offers {', '.join(providers)}."
            f"{more} Install onnxruntime-gpu with CUDA and cuDNN (pip install 'artificer[cuda]'), and remove"
            " onnxruntime, whose module it replaces."
        )


def _load_cuda(graph: Path) -> str:
    """Load the CUDA libraries that pip installed, if any; what onnxruntime prints about them."""
    check_cuda(graph, ort.get_available_providers())
    said = io.StringIO()
    if hasattr(ort, "preload_dlls"):
        with contextlib.redirect_stdout(said):
            ort.preload_dlls()
    return " ".join(said.getvalue().split())[:300]


def open_session(
    graph: Path, *, threads: int, execution_precision: ExecutionPrecision | None, device: Device = "cpu"
) -> OnnxSession:
    """See `artificer.backends.open_session`."""
    if execution_precision not in (None, "f32"):
        raise ValueError(f"onnxruntime computes in the graph's own types: {execution_precision} cannot be asked for.")
    return OnnxSession(graph, threads=threads, device=device)
