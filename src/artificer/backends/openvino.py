"""OpenVINO IR on the CPU plugin."""

import queue
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from artificer.backends import Inputs
from artificer.errors import ScoreError
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


ov = _import_openvino()


class OpenVinoSession:
    """A compiled model with a pool of infer requests: one per thread that scores at the same time."""

    runtime: Runtime = "openvino"
    new_shapes_are_dear = True

    def __init__(self, graph: Path, *, threads: int, execution_precision: ExecutionPrecision | None):
        options: dict[str, Any] = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1}
        if execution_precision is not None:
            options["INFERENCE_PRECISION_HINT"] = execution_precision
        self._model: Any = ov.Core().compile_model(str(graph), "CPU", options)
        self._requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.input_names = tuple(node.get_any_name() for node in self._model.inputs)
        names = [name for node in self._model.outputs for name in node.get_names()]
        self._output = self._model.output("logits" if "logits" in names else 0)
        self.execution_precision: ExecutionPrecision = self._model.get_property("INFERENCE_PRECISION_HINT").to_string()

    def run(self, inputs: Inputs) -> NDArray[np.float32]:
        """Logits, `[batch, labels]`."""
        if self._model is None:
            raise ScoreError("The session is closed.")
        try:
            request = self._requests.get_nowait()
        except queue.Empty:
            request = self._model.create_infer_request()
        try:
            request.infer(dict(inputs), share_inputs=True)
            return np.array(request.get_tensor(self._output).data, dtype=np.float32)
        finally:
            self._requests.put(request)

    def close(self) -> None:
        """Give the runtime's memory back."""
        self._model = self._output = None
        self._requests = queue.SimpleQueue()


def open_session(graph: Path, *, threads: int, execution_precision: ExecutionPrecision | None) -> OpenVinoSession:
    """See `artificer.backends.open_session`."""
    return OpenVinoSession(graph, threads=threads, execution_precision=execution_precision)
