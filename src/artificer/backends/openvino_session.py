"""Sessions of OpenVINO's CPU plugin."""

import logging
import os
import sys
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from queue import SimpleQueue
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from artificer.backends.compiled_cache import CompiledModelCache
from artificer.backends.openvino import OpenVinoBackend
from artificer.backends.session import Inputs, Output, SessionOptions
from artificer.backends.stream_pool import PooledSession, Run, StreamPool, files_of, stream_count
from artificer.errors import MissingRuntimeError, ScoreError
from artificer.manifest import ExecutionPrecision, Runtime, Tuning

logger = logging.getLogger("artificer")
_TOPOLOGY = ("proc/cpuinfo", "sys/devices/system/cpu")
_CONVERTER = "openvino.tools.ovc"
_TOKENS = 8
_ROUNDING = 0.02  # half precisions included; what was seen was off by 3


def _import_openvino() -> ModuleType:
    """`import openvino` without its model converter.

    `openvino/__init__.py` imports the converter, which is half of the import's time and brings the telemetry package
    into the process; a missing converter is expected there. `openvino.convert_model` is put back as a lazy attribute
    for others in the process. Does nothing of this when openvino was imported before.
    """
    if "openvino" in sys.modules or _CONVERTER in sys.modules:
        return import_module("openvino")
    sys.modules[_CONVERTER] = None  # type: ignore[assignment]
    try:
        module = import_module("openvino")
    finally:
        del sys.modules[_CONVERTER]

    def lazy(name: str) -> Any:
        if name == "convert_model":
            module.__dict__[name] = import_module(_CONVERTER).convert_model
            return module.__dict__[name]
        raise AttributeError(f"module 'openvino' has no attribute {name!r}")

    if not hasattr(module, "convert_model"):
        module.__dict__.setdefault("__getattr__", lazy)
    return module


def _prime(module: ModuleType) -> None:
    """Make OpenVINO build its table of element types now, in one thread.

    It is a C++ function-local static that needs Python's lock while it is built: two threads that reach it first at
    the same time deadlock (openvino 2026.4.1: seen in one of eight starts that began with two threads at once).
    """
    module.Type.i64.to_dtype()
    for kind in (np.int64, np.float32):
        _ = module.Tensor(np.zeros((1, 1), dtype=kind), shared_memory=True).data


ov = _import_openvino()
_prime(ov)


class _Compiled(NamedTuple):
    """A compiled model, and the memory that it may refer to, which must outlive it: a tuple's last item goes first."""

    memory: NDArray[np.uint8] | None
    model: Any


class OpenVinoSession(PooledSession):
    """A model compiled for one batch at a time on all threads; for a stream pool it is compiled once more."""

    runtime: Runtime = OpenVinoBackend.name
    compiles_per_shape = OpenVinoBackend.compiles_per_shape

    def __init__(self, compiled: "_Compiled", output: str, streams: StreamPool | None, tuning: Tuning):
        super().__init__(streams, tuning)
        self.input_names = tuple(node.get_any_name() for node in compiled.model.inputs)
        precision: ExecutionPrecision = compiled.model.get_property("INFERENCE_PRECISION_HINT").to_string()
        self.execution_precision = precision
        self._request: _Request | None = _Request(compiled, output)

    def _compute(self, inputs: Inputs) -> Output:
        assert self._request is not None
        return self._request.infer(inputs)

    def _release(self) -> None:
        self._request = None


class _Request:
    """An inference request with its output; for one thread at a time."""

    def __init__(self, compiled: _Compiled, output: str):
        memory, model = compiled
        names = [name for node in model.outputs for name in node.get_names()]
        self._output = model.output(output if output in names else 0)
        self._request = model.create_infer_request()
        self._memory = memory  # last, so that it is the last to go

    def infer(self, inputs: Inputs) -> Output:
        """The output for one batch."""
        self._request.infer(dict(inputs), share_inputs=True)
        return np.array(self._request.get_tensor(self._output).data, dtype=np.float32)


def _with_any(requests: "SimpleQueue[_Request]", inputs: Inputs) -> Output:
    request = requests.get()
    try:
        return request.infer(inputs)
    finally:
        requests.put(request)


def _check_agreement(requests: Sequence[_Request], inputs: Sequence[str]) -> None:
    """Raise ScoreError unless all streams compute the same for one text, up to rounding.

    Each is asked alone, so that no two prepare their weights at the same time. The self-test does not reach the
    streams, and one session with streams, of some thousand, was seen to return wrong scores (openvino 2026.4.1).
    """
    text = {name: np.full((1, _TOKENS), name == "attention_mask", dtype=np.int64) for name in inputs}
    first, *others = [request.infer(text) for request in requests]
    if not all(np.allclose(first, other, rtol=_ROUNDING, atol=_ROUNDING) for other in others):
        raise ScoreError("two streams computed different outputs for one text")


def _compile(graph: Path, asked: SessionOptions, *, streams: int, cached: CompiledModelCache | None) -> _Compiled:
    options: dict[str, Any] = {
        **asked.settings,
        "INFERENCE_NUM_THREADS": asked.threads,
        "PERFORMANCE_HINT": "LATENCY" if streams == 1 else "THROUGHPUT",
        "NUM_STREAMS": streams,
    }
    if asked.execution_precision is not None:
        options["INFERENCE_PRECISION_HINT"] = asked.execution_precision
    core = ov.Core()
    if cached is None:
        return _Compiled(None, core.compile_model(str(graph), "CPU", options))
    facts = {
        "openvino": ov.get_version(),
        "cpu": core.get_property("CPU", "FULL_DEVICE_NAME"),
        "capabilities": sorted(core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")),
        "isa": os.environ.get("ONEDNN_MAX_CPU_ISA"),
        "options": options,
    }
    memory = cached.find(facts)
    if memory is not None:
        try:
            return _Compiled(memory, core.import_model(ov.Tensor(memory, shared_memory=True), "CPU", options))
        except Exception as error:  # whatever it is, compiling may still work
            logger.info("%s is compiled again: its cached model cannot be used: %s", graph.name, error)
            cached.drop()
    model = core.compile_model(str(graph), "CPU", options)
    cached.keep(facts, files_of(graph, OpenVinoBackend().sidecars(graph)), model)
    return _Compiled(None, model)


def check_topology(root: Path = Path("/")) -> None:
    """Raise MissingRuntimeError where OpenVINO (2026.4) would not stop compiling: it finds CPUs in neither folder."""
    if sys.platform == "linux" and not any((root / name).exists() for name in _TOPOLOGY):
        raise MissingRuntimeError(
            "OpenVINO cannot see the CPUs: neither /proc nor /sys is there. Mount one of them, or use the backend onnx."
        )


def open_openvino(graph: Path, options: SessionOptions) -> OpenVinoSession:
    """An `OpenGraph`.

    Raises:
        MissingRuntimeError: this system shows nothing of its CPUs.
    """
    check_topology()
    count = stream_count(options.threads, options.tuning)

    def opened() -> Run:
        # Always compiled again: the self-test does not reach the streams.
        streams = _compile(graph, options, streams=count, cached=None)
        each = [_Request(streams, options.output) for _ in range(count)]
        _check_agreement(each, [node.get_any_name() for node in streams.model.inputs])
        requests: SimpleQueue[_Request] = SimpleQueue()
        for request in each:
            requests.put(request)
        return partial(_with_any, requests)

    files = files_of(graph, OpenVinoBackend().sidecars(graph))
    pool = StreamPool.over(files, count, opened)
    compiled = _compile(graph, options, streams=1, cached=options.compiled)
    return OpenVinoSession(compiled, options.output, pool, options.tuning)
