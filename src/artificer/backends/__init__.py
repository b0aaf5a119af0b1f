"""The runtimes that can execute a graph: one Protocol, one literal dict, each imported when it is first used."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from artificer.errors import MissingRuntimeError
from artificer.manifest import Device, ExecutionPrecision, Runtime

if TYPE_CHECKING:
    from artificer.backends.compiled_cache import CompiledModelCache

Inputs = Mapping[str, NDArray[np.int64]]


@runtime_checkable
class Session(Protocol):
    """A graph, opened by one runtime. Safe to share between threads; however many call, no more batches are computed
    at once than there are compute threads, so that memory does not grow with the callers.

    `execution_precision` is what it really computes in where the graph says float32; `compiles_per_shape` says that
    the runtime compiles for every input shape that it has not seen, so that padding batches to a few shapes pays;
    `parallelism` is how many batches `run_many` computes side by side.
    """

    @property
    def runtime(self) -> Runtime: ...  # noqa: D102

    @property
    def execution_precision(self) -> ExecutionPrecision: ...  # noqa: D102

    @property
    def input_names(self) -> tuple[str, ...]: ...  # noqa: D102

    @property
    def compiles_per_shape(self) -> bool: ...  # noqa: D102

    @property
    def parallelism(self) -> int: ...  # noqa: D102

    def run(self, inputs: Inputs) -> NDArray[np.float32]:
        """Logits, `[batch, labels]`, of `[batch, length]` token arrays, as soon as possible."""
        ...

    def run_many(self, batches: Iterable[Inputs]) -> Iterator[NDArray[np.float32]]:
        """The logits of each batch, in order; `batches` is read only a few batches ahead."""
        ...

    def close(self) -> None:
        """Give the runtime's memory back; a later `run` raises."""
        ...


# The module and the package (also the extra's name) of each runtime.
_BACKENDS: dict[Runtime, tuple[str, str, str]] = {
    "onnx": ("artificer.backends.onnx", "onnxruntime", "onnx"),
    "openvino": ("artificer.backends.openvino", "openvino", "openvino"),
}


def open_session(
    runtime: Runtime,
    graph: Path,
    *,
    threads: int,
    execution_precision: ExecutionPrecision | None = "f32",
    device: Device = "cpu",
    kept: "CompiledModelCache | None" = None,
) -> Session:
    """Open `graph` with `threads` compute threads.

    Of the runtimes, onnxruntime alone takes the device `cuda`, and OpenVINO alone has compiled models to keep.

    `execution_precision=None` leaves the precision to the runtime: the session then reports what it really uses.

    Raises:
        MissingRuntimeError: the runtime's package is not installed, or cannot use the device.
    """
    module, package, extra = _BACKENDS[runtime]
    try:
        opener: Callable[..., Session] = import_module(module).open_session
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != package:
            raise
        raise MissingRuntimeError(
            f"{graph.name} needs {package}, which is not installed: pip install 'artificer[{extra}]'"
        ) from None
    options: dict[str, object] = {} if device == "cpu" else {"device": device}
    if runtime == "openvino":
        options["kept"] = kept
    return opener(graph, threads=threads, execution_precision=execution_precision, **options)
