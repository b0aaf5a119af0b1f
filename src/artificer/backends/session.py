"""An open graph, and the options to open one. The same for all backends."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from msgspec import Struct, field
from numpy.typing import NDArray

from artificer.manifest import UNTUNED, Device, ExecutionPrecision, Runtime, Tuning

if TYPE_CHECKING:
    from artificer.backends.compiled_cache import CompiledModelCache

Inputs = Mapping[str, NDArray[np.int64]]
"""Token arrays by the graph's names, each `[batch, length]`."""
Output = NDArray[np.float32]
"""What a graph returns for a batch, `[batch, ...]`."""


class SessionOptions(Struct, frozen=True, kw_only=True):
    """How to open a graph.

    `execution_precision` None leaves the precision to the runtime; the session then reports what it really uses.
    `settings` are properties of the runtime that the backend knows (`Backend.settings`). `output` is the name of the
    output to return; a graph without an output of that name returns its first. `compiled` holds compiled models of
    earlier processes, for backends that compile. `tuning` says how batches are formed and spread.
    """

    threads: int
    execution_precision: ExecutionPrecision | None = "f32"
    device: Device = "cpu"
    settings: Mapping[str, str] = field(default_factory=dict)
    output: str = "logits"
    compiled: "CompiledModelCache | None" = None
    tuning: Tuning = UNTUNED


@runtime_checkable
class Session(Protocol):
    """A graph, opened by one backend.

    It is safe to share between threads. However many threads call it, it computes no more batches at once than it has
    compute threads, so that memory does not grow with the callers.

    `runtime` is the backend's name. `execution_precision` is what it really computes in where the graph says float32.
    `compiles_per_shape` says that the backend compiles for every input shape that it has not seen, so that padding
    batches to a few shapes pays. `tuning` is how batches are to be formed and spread (`inference.scoring`).
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
    def tuning(self) -> Tuning: ...  # noqa: D102

    def parallelism(self) -> int:
        """How many batches `run_many` computes side by side; opens what that needs."""
        ...

    def run(self, inputs: Inputs) -> Output:
        """The output for a batch of `[batch, length]` token arrays, as soon as possible."""
        ...

    def run_many(self, batches: Iterable[Inputs]) -> Iterator[Output]:
        """The output of each batch, in order. `batches` is read only a few batches ahead."""
        ...

    def close(self) -> None:
        """Give the runtime's memory back; a later `run` raises ClosedError."""
        ...


OpenGraph = Callable[[Path, SessionOptions], Session]
"""A function that opens a graph. It raises whatever the runtime does."""
