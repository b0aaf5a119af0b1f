"""OpenVINO IR on the CPU plugin."""

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
    wait for each other for ever (openvino 2026.4.1: seen in one of eight starts that began with two threads at once).
    """
    module.Type.i64.to_dtype()
    for kind in (np.int64, np.float32):
        _ = module.Tensor(np.zeros((1, 1), dtype=kind), shared_memory=True).data


ov = _import_openvino()
_prime(ov)


class OpenVinoSession:
    """A model compiled for one batch at a time on all threads; who comes meanwhile waits.

    A second compilation with a stream per thread for many batches (THROUGHPUT and an asynchronous queue) was measured:
    on two cores it is no faster at this batch size, and costs a second copy of the weights (benchmarks/README.md).
    """

    runtime: Runtime = "openvino"
    new_shapes_are_dear = True
    lanes = 1

    def __init__(self, graph: Path, *, threads: int, execution_precision: ExecutionPrecision | None):
        options: dict[str, Any] = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1}
        if execution_precision is not None:
            options["INFERENCE_PRECISION_HINT"] = execution_precision
        model: Any = ov.Core().compile_model(str(graph), "CPU", options)
        self.input_names = tuple(node.get_any_name() for node in model.inputs)
        names = [name for node in model.outputs for name in node.get_names()]
        self.execution_precision: ExecutionPrecision = model.get_property("INFERENCE_PRECISION_HINT").to_string()
        self._output = model.output("logits" if "logits" in names else 0)
        self._request: Any = model.create_infer_request()
        self._turn = threading.Lock()

    def run(self, inputs: Inputs) -> NDArray[np.float32]:
        """Logits, `[batch, labels]`."""
        with self._turn:
            if self._request is None:
                raise ClosedError("The session is closed.")
            self._request.infer(dict(inputs), share_inputs=True)
            return np.array(self._request.get_tensor(self._output).data, dtype=np.float32)

    def run_many(self, batches: Iterable[Inputs]) -> Iterator[NDArray[np.float32]]:
        """The logits of each batch, in order."""
        return map(self.run, batches)

    def close(self) -> None:
        """Give the runtime's memory back, once the running batch is done."""
        with self._turn:
            self._request = self._output = None


def open_session(graph: Path, *, threads: int, execution_precision: ExecutionPrecision | None) -> OpenVinoSession:
    """See `artificer.backends.open_session`."""
    return OpenVinoSession(graph, threads=threads, execution_precision=execution_precision)
