"""Reading a manifest's benchmarks: which host is near, and how fast an execution was there."""

from collections.abc import Iterable, Mapping
from math import exp, inf, log, log2

from msgspec import Struct
from msgspec.structs import replace

from artificer.backends import BACKENDS
from artificer.host import gpu_class
from artificer.manifest import Benchmark, Device, ExecutionPrecision, Host, RequestRow, Tuning, Variant

_FAR = 2.0  # in doublings of the cores: figures from 4 cores hold for 1 to 16, not for 64


class Measured(Struct, frozen=True):
    """An execution's figures on one host: geometric means over the workloads.

    `latency_ms` is of the smallest batch, `inputs_per_second` of the larger batches, if there are any. `request` has
    the calls of new lengths with the fewest inputs, None where they were not measured. `tuning` is what it was timed
    with, on `threads` threads.
    """

    host: str
    latency_ms: float
    inputs_per_second: float
    peak_memory_bytes: int
    tuning: Tuning | None = None
    threads: int = 1
    request: RequestRow | None = None

    def tuning_for(self, threads: int) -> Tuning | None:
        """The tuning for another number of threads: as many batches side by side for each thread; None for none."""
        if self.tuning is None or self.tuning.streams in (None, 1):
            return self.tuning
        streams = max(1, round(self.tuning.streams * threads / self.threads))
        return replace(self.tuning, streams=min(streams, threads))


def distance(there: Host, here: Host, device: Device = "cpu") -> float | None:
    """How far two hosts are apart for the purpose of speed; None when figures do not carry over.

    On the CPU they carry over between equal architectures and ISA classes, those of limited runtimes too. Then every
    doubling of the cores counts 1, another CPU model 0.5, other runtime versions 0.25, other GPUs 0.25. On a GPU they
    carry over between equal GPUs.
    """
    if device == "cuda":
        if not here.accelerators or gpu_class(there.accelerators) != gpu_class(here.accelerators):
            return None
        return 0.5 * (there.cpu_model != here.cpu_model) + 0.25 * (there.runtimes != here.runtimes)
    if (there.architecture, there.isa_class, there.runtime_isa) != (
        here.architecture,
        here.isa_class,
        here.runtime_isa,
    ):
        return None
    doublings = abs(log2(there.cores / here.cores))
    if doublings > _FAR:
        return None
    others = (there.runtimes != here.runtimes) + (there.accelerators != here.accelerators)
    return doublings + 0.5 * (there.cpu_model != here.cpu_model) + 0.25 * others


def nearest(benchmarks: Iterable[Benchmark], host: Host, device: Device = "cpu") -> Benchmark | None:
    """The benchmark of the nearest host with figures of that device, the first of equals; None when none is near."""
    found = [
        (far, i, each)
        for i, each in enumerate(benchmarks)
        if (far := distance(each.host, host, device)) is not None
        and (device == "cpu" or any(subject.device == device for subject in each.subjects))
    ]
    return min(found, key=lambda item: item[:2])[2] if found else None


def measured(
    benchmark: Benchmark | None,
    variant: Variant,
    precision: ExecutionPrecision,
    device: Device = "cpu",
    settings: Mapping[str, str] = {},
) -> Measured | None:
    """The figures of the variant's very bytes, as that execution; None when there are none.

    If a precision cannot be requested from the backend, it is not compared.
    """
    if benchmark is None:
        return None
    backend = BACKENDS.get(variant.runtime)
    any_precision = backend is not None and not backend.takes_precision
    for subject in benchmark.subjects:
        same = any_precision or subject.execution_precision == precision
        same = same and (subject.device, subject.settings) == (device, settings)
        if subject.id == variant.id and subject.digest == variant.digest and same and subject.rows:
            smallest = min(row.batch_size for row in subject.rows)
            single = [row.p50_ms for row in subject.rows if row.batch_size == smallest]
            many = [row.inputs_per_second for row in subject.rows if row.batch_size > smallest]
            every = [row.inputs_per_second for row in subject.rows]
            return Measured(
                host=benchmark.host.name,
                latency_ms=_mean(single) or inf,
                request=min(subject.requests, key=lambda row: row.inputs, default=None),
                inputs_per_second=_mean(many or every),
                peak_memory_bytes=subject.peak_memory_bytes,
                tuning=subject.tuning,
                threads=benchmark.threads,
            )
    return None


def _mean(values: list[float]) -> float:
    """Geometric, so that no workload outweighs another; 0 when a value is not positive."""
    return exp(sum(log(value) for value in values) / len(values)) if all(value > 0 for value in values) else 0.0
