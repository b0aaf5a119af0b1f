"""Which figures of a host are kept: those of a busy machine do not replace those that a quieter one gave."""

import hashlib
import os

from artificer.manifest import Benchmark
from stages.core import paths
from stages.core.errors import RegistryError
from stages.records.measured_files import load_measured

BUSY_PERCENT = 20.0  # of all CPUs, used by other programs
ALLOW_BUSY = "ARTIFICER_ALLOW_BUSY"


def figures_to_keep(slug: str, measured: Benchmark) -> Benchmark:
    """`measured`, or this host's earlier figures of the same bytes and texts, if other programs used more of the
    machine this time, and more than a little. ARTIFICER_ALLOW_BUSY=1 keeps `measured`."""
    path = paths.benchmarks(slug) / f"{measured.host.name}.json"
    if os.environ.get(ALLOW_BUSY) or not _is_busy(measured) or not path.is_file():
        return measured
    try:
        earlier = load_measured(path, Benchmark)
    except RegistryError as error:  # the benchmark has just run, and its figures replace the file
        print(f"the earlier figures are not compared: {error}", flush=True)
        return measured
    if not _is_of_the_same(earlier, measured) or _percent(earlier) >= _percent(measured):
        return measured
    known = "not recorded" if earlier.busy_percent is None else f"{earlier.busy_percent:.0f} %"
    print(
        f"kept the earlier figures in {path} (other programs then: {known}, now: {measured.busy_percent:.0f} %). "
        f"Measure again when the machine is idle: `dvc repro -s -f benchmark@{slug}`. With {ALLOW_BUSY}=1 before it, "
        "the new figures replace them in any case.",
        flush=True,
    )
    return earlier


def workloads_digest(slug: str) -> str:
    """Of the texts that are timed."""
    return hashlib.sha256(paths.workloads(slug).read_bytes()).hexdigest()


def _is_busy(found: Benchmark) -> bool:
    return _percent(found) > BUSY_PERCENT


def _percent(found: Benchmark) -> float:
    """Figures from before this was recorded count as quiet: a warning was printed otherwise."""
    return found.busy_percent or 0.0


def _is_of_the_same(earlier: Benchmark, measured: Benchmark) -> bool:
    """Whether the same host, with the same runtimes, timed the same candidates with the same texts."""
    texts = {earlier.workloads_sha256, measured.workloads_sha256} - {None}
    return (
        (earlier.host, earlier.preset, earlier.threads) == (measured.host, measured.preset, measured.threads)
        and len(texts) < 2
        and _timed(earlier) == _timed(measured)
    )


def _timed(found: Benchmark) -> set[tuple[str, str | None, str, int]]:
    return {
        (subject.label, subject.digest, row.workload, row.batch_size)
        for subject in found.subjects
        if subject.digest is not None  # torch's half precisions may be left out for lack of time
        for row in subject.rows
    }
