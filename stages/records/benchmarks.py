"""Figures of speed and memory: this host's (benchmark.json), and those of all hosts, in git."""

from statistics import geometric_mean

import msgspec

from artificer.manifest import Benchmark, BenchmarkSubject, canonical_json
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
        load_measured(path, Benchmark)
        for path in sorted(paths.benchmarks(slug).glob("*.json"))
        if path.stem != own.host.name
    ]
    return tuple(sorted([own, *others], key=lambda benchmark: benchmark.host.name))


def speedup(subject: BenchmarkSubject) -> float:
    """How many times as fast as the baseline: the geometric mean over all workloads and batch sizes."""
    return geometric_mean(row.speedup for row in subject.rows)
