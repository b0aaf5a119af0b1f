"""A backend of its own: it looks token vectors up in a table. Registered by the test, without editing a module."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from artificer.backends.offers import Offer
from artificer.backends.packages import Package
from artificer.backends.session import Inputs, OpenGraph, Output, SessionOptions
from artificer.manifest import Device, ExecutionPrecision, Host, PrecisionClass, Runtime, Tuning


class BagSession:
    """One vector for every token: `[batch, length, numbers]`."""

    runtime: Runtime = "bag"
    execution_precision: ExecutionPrecision = "f32"
    compiles_per_shape = False
    tuning = Tuning()
    input_names: tuple[str, ...] = ("input_ids", "attention_mask")

    def __init__(self, table: Output):
        self.table: Output | None = table

    def parallelism(self) -> int:
        """One batch at a time."""
        return 1

    def run(self, inputs: Inputs) -> Output:
        """The vectors of a batch."""
        assert self.table is not None
        found: Output = self.table[inputs["input_ids"]]
        return found

    def run_many(self, batches: Iterable[Inputs]) -> Iterator[Output]:
        """The vectors of each batch."""
        return map(self.run, batches)

    def close(self) -> None:
        """Forget the table."""
        self.table = None


class BagBackend:
    """The graph is a list of its outputs; their tables are in the .npz of the same name."""

    name: Runtime = "bag"
    packages: Mapping[Device, Package] = {"cpu": Package("numpy", "numpy", "bag")}
    takes_precision = False
    settings: tuple[Mapping[str, str], ...] = ()
    compiles_per_shape = False
    threads_per_stream: int | None = 1
    sidecar_suffix = ".npz"

    def device_problem(self, host: Host, device: Device, precision_class: PrecisionClass) -> str | None:  # noqa: ARG002
        """See `Backend`."""
        return None if device in self.packages else "bags run on the CPU"

    def offers(self, host: Host, precision_class: PrecisionClass) -> tuple[Offer, ...]:  # noqa: ARG002
        """See `Backend`."""
        return (Offer(),)

    def sidecars(self, graph: Path) -> dict[str, int]:
        """See `Backend`."""
        return {graph.with_suffix(".npz").name: 0}

    def graph_opener(self) -> OpenGraph:
        """See `Backend`."""
        return _open


def _open(graph: Path, options: SessionOptions) -> BagSession:
    with np.load(graph.with_suffix(".npz")) as tables:
        return BagSession(tables[options.output])
