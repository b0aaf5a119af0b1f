"""Figures of speed and memory: this host's (benchmark.json), and those of all hosts, in git."""

from collections.abc import Sequence
from statistics import geometric_mean

import msgspec

from artificer.manifest import Benchmark, BenchmarkSubject, Host, canonical_json
from artificer.manifest.isa_classes import isa_class
from stages.core import files, paths
from stages.records.measured_files import load_measured

BASELINE = "torch-fp32"


def write_benchmark(slug: str, found: Benchmark) -> None:
    """Replace benchmark.json, and this host's figures in git."""
    files.write_file(paths.benchmarks(slug) / f"{found.host.name}.json", canonical_json(found))
    files.write_file(paths.benchmark(slug), canonical_json(found))


def load_benchmarks(slug: str) -> tuple[Benchmark, ...]:
    """Figures of every host, this one's from this build, sorted by host. Raises RegistryError for a malformed file."""
    own = msgspec.json.decode(paths.benchmark(slug).read_bytes(), type=Benchmark)
    others = [
        _with_todays_class(load_measured(path, Benchmark))
        for path in sorted(paths.benchmarks(slug).glob("*.json"))
        if path.stem != own.host.name
    ]
    return tuple(sorted([own, *others], key=lambda benchmark: benchmark.host.name))


def beside_torch(benchmarks: Sequence[Benchmark]) -> tuple[Benchmark, ...]:
    """Those whose speedups are over torch. Records of `artificer prove` are over plain float32, and are not compared
    with them in tables and plots."""
    return tuple(each for each in benchmarks if each.baseline == BASELINE)


def host_of_figures(slug: str, name: str) -> Host | None:
    """The host whose figures are in git under that name, None where there are none. Raises RegistryError for a
    malformed file."""
    path = paths.benchmarks(slug) / f"{name}.json"
    return _with_todays_class(load_measured(path, Benchmark)).host if path.is_file() else None


def _with_todays_class(found: Benchmark) -> Benchmark:
    """Older releases called classes by fewer names (`artificer.manifest.old_classes`)."""
    today = isa_class(found.host.isa, found.host.architecture)
    return msgspec.structs.replace(found, host=msgspec.structs.replace(found.host, isa_class=today))


def speedup(subject: BenchmarkSubject) -> float:
    """How many times as fast as the baseline: the geometric mean over all workloads and batch sizes."""
    return geometric_mean(row.speedup for row in subject.rows)
