"""OpenVINO IR on the CPU plugin."""

import queue
import sys
import threading
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from artificer.backends import Inputs
from artificer.backends.lanes import Lanes
from artificer.errors import ClosedError
from artificer.manifest import ExecutionPrecision, Runtime

_CONVERTER = "openvino.tools.ovc"


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

    It is a C++ function-local static that needs Python's lock while it is built: two threads that first meet in it
    wait for each other for ever (openvino 2026.4.1: seen in one of eight starts that began with two batches at once).
    """
    module.Type.i64.to_dtype()
    for kind in (np.int64, np.float32):
        _ = module.Tensor(np.zeros((1, 1), dtype=kind), shared_memory=True).data


ov = _import_openvino()
_prime(ov)


class OpenVinoSession:
    """One model, compiled twice when it pays: for one batch on all threads (LATENCY), and, once several batches come
    at a time, for one batch per thread (streams)."""

    runtime: Runtime = "openvino"
    new_shapes_are_dear = True

    def __init__(self, graph: Path, *, threads: int, execution_precision: ExecutionPrecision | None):
        self._core: Any = ov.Core()
        self._graph = graph
        self._options: dict[str, Any] = {"INFERENCE_NUM_THREADS": threads}
        if execution_precision is not None:
            self._options["INFERENCE_PRECISION_HINT"] = execution_precision
        model = self._compile(1)
        self.input_names = tuple(node.get_any_name() for node in model.inputs)
        names = [name for node in model.outputs for name in node.get_names()]
        self._output: str | int = "logits" if "logits" in names else 0
        self.execution_precision: ExecutionPrecision = model.get_property("INFERENCE_PRECISION_HINT").to_string()
        self.lanes = threads
        self._single: _Requests | None = _Requests(model, self._output, 1)
        self._many: _Requests | None = None
        self._lock = threading.Lock()
        self._lanes = Lanes(threads)

    def run(self, inputs: Inputs) -> NDArray[np.float32]:
        """Logits, `[batch, labels]`."""
        requests = self._single
        if requests is None:
            raise ClosedError("The session is closed.")
        return requests.run(inputs)

    def run_many(self, batches: Iterable[Inputs]) -> Iterator[NDArray[np.float32]]:
        """The logits of each batch, in order."""
        if self.lanes == 1:
            return map(self.run, batches)
        with self._lock:
            if self._single is None:
                raise ClosedError("The session is closed.")
            if self._many is None:
                self._many = _Requests(self._compile(self.lanes), self._output, self.lanes)
            requests = self._many
        return self._lanes.map(requests.run, batches)

    def close(self) -> None:
        """Give the runtime's memory back, once running batches are done."""
        self._lanes.close()
        with self._lock:
            self._single = self._many = None

    def _compile(self, streams: int) -> Any:
        hint = "LATENCY" if streams == 1 else "THROUGHPUT"
        options = {**self._options, "NUM_STREAMS": streams, "PERFORMANCE_HINT": hint}
        return self._core.compile_model(str(self._graph), "CPU", options)


class _Requests:
    """A compiled model's infer requests, a fixed number: who finds none waits."""

    def __init__(self, model: Any, output: str | int, count: int):
        self._model, self._output = model, model.output(output)
        self._free: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for _ in range(count):
            self._free.put(model.create_infer_request())

    def run(self, inputs: Inputs) -> NDArray[np.float32]:
        request = self._free.get()
        try:
            request.infer(dict(inputs), share_inputs=True)
            return np.array(request.get_tensor(self._output).data, dtype=np.float32)
        finally:
            self._free.put(request)


def open_session(graph: Path, *, threads: int, execution_precision: ExecutionPrecision | None) -> OpenVinoSession:
    """See `artificer.backends.open_session`."""
    return OpenVinoSession(graph, threads=threads, execution_precision=execution_precision)
