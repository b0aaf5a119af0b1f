"""Sessions of onnxruntime, on its CPU and CUDA providers."""

import contextlib
import io
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from artificer.backends.onnx import OnnxBackend
from artificer.backends.session import Inputs, Output, SessionOptions
from artificer.backends.stream_pool import PooledSession, Run, StreamPool, files_of, stream_count
from artificer.errors import MissingRuntimeError
from artificer.manifest import Device, ExecutionPrecision, Runtime, Tuning

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

# Fused, an addition and a LayerNormalization take longer on a CPU than apart (benchmarks/results/exporter.md).
_SLOWER: dict[Device, list[str]] = {"cpu": ["SkipLayerNormFusion"], "cuda": []}


class OnnxSession(PooledSession):
    """An `onnxruntime.InferenceSession`. onnxruntime computes in the graph's own types, so its precision is f32."""

    runtime: Runtime = OnnxBackend.name
    execution_precision: ExecutionPrecision = "f32"
    compiles_per_shape = OnnxBackend.compiles_per_shape

    def __init__(self, session: ort.InferenceSession, output: str, streams: StreamPool | None, tuning: Tuning):
        super().__init__(streams, tuning)
        self._session: ort.InferenceSession | None = session
        self._output = output
        self.input_names = tuple(node.name for node in session.get_inputs())

    def _compute(self, inputs: Inputs) -> Output:
        assert self._session is not None
        return _run(self._session, self._output, inputs)

    def _release(self) -> None:
        self._session = None


def open_onnx(graph: Path, options: SessionOptions) -> OnnxSession:
    """An `OpenGraph`."""
    if options.execution_precision not in (None, "f32"):
        raise ValueError(
            f"onnxruntime computes in the graph's own types: {options.execution_precision} cannot be requested."
        )

    def opened() -> Run:
        return partial(_run, _open(graph, 1), output)

    streams, count = None, stream_count(options.threads, options.tuning)
    if options.device == "cpu" and count > 1:
        streams = StreamPool.over(files_of(graph, OnnxBackend().sidecars(graph)), count, opened)
    session = _open(graph, options.threads, options.device)
    names = [node.name for node in session.get_outputs()]
    output = options.output if options.output in names else names[0]
    return OnnxSession(session, output, streams, options.tuning)


def _run(session: ort.InferenceSession, output: str, inputs: Inputs) -> Output:
    (found,) = session.run([output], dict(inputs))
    return np.asarray(found, dtype=np.float32)  # float16 ones (O4) are widened


def _open(graph: Path, threads: int, device: Device = "cpu") -> ort.InferenceSession:
    said = _load_cuda(graph) if device == "cuda" else ""
    session = ort.InferenceSession(
        str(graph),
        sess_options=session_options(threads),
        providers=_PROVIDERS[device],
        disabled_optimizers=_SLOWER[device],
    )
    if device == "cuda":
        check_cuda(graph, session.get_providers(), said)
        session.disable_fallback()  # else a failed run would move to the CPU for good, and only print so
    return session


def session_options(threads: int) -> ort.SessionOptions:
    """One pool of `threads`, nodes in sequence.

    Workers spin for a millisecond only: that bridges the gap between two nodes, which keeps single requests
    fast, and ends with the request. onnxruntime's own default spins on, which uses up a container's quota, and beside
    other work costs more than it gains. (Versions without this option ignore it.)
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

    If CUDA is not available, onnxruntime opens the graph on the CPU without an error.
    """
    if _CUDA not in providers:
        package = OnnxBackend.packages["cuda"]
        more = f" It said: {said}." if said else ""
        raise MissingRuntimeError(
            f"{graph.name}: expected onnxruntime with CUDA; onnxruntime {ort.__version__} offers "
            f"{', '.join(providers)}.{more} Install {package.distribution} with CUDA and cuDNN ({package.remedy}), "
            f"and remove {package.module}, whose module it replaces."
        )


def _load_cuda(graph: Path) -> str:
    """Load the CUDA libraries that pip installed, if any; what onnxruntime prints about them."""
    check_cuda(graph, ort.get_available_providers())
    said = io.StringIO()
    if hasattr(ort, "preload_dlls"):
        with contextlib.redirect_stdout(said):
            ort.preload_dlls()
    return " ".join(said.getvalue().split())[:300]
