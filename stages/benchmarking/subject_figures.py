"""From the timings of all groups to a subject's figures."""

import statistics

import numpy as np

from artificer.manifest import BenchmarkRow, BenchmarkSubject, RequestRow
from stages.benchmarking.rounds import Batches, Timings
from stages.benchmarking.subjects import TimedSubject
from stages.records.benchmarks import BASELINE


def benchmark_subject(subject: TimedSubject, measured: list[Timings], batches: Batches) -> BenchmarkSubject | None:
    """Figures over all groups that a subject, or its alias, was in: only torch float32 is in more than one. None where
    it did not run to the end."""
    own_groups = [timings for timings in measured if subject.timed_as in timings.peak_memory_bytes]
    if not own_groups:
        return None
    rows = []
    for key, work in batches.items():
        rounds = [times for timings in own_groups for times in timings.seconds[subject.timed_as][key]]
        baseline = [times for timings in own_groups for times in timings.seconds[BASELINE][key]]
        pairs = sum(map(len, work))
        p50, p95, p99 = (1000 * value for value in np.percentile(np.concatenate(rounds), (50, 95, 99)))
        rows.append(
            BenchmarkRow(
                workload=key[0],
                batch_size=key[1],
                inputs_per_second=statistics.median(pairs / sum(times) for times in rounds),
                p50_ms=float(p50),
                p95_ms=float(p95),
                p99_ms=float(p99),
                speedup=statistics.median(sum(b) / sum(own) for own, b in zip(rounds, baseline, strict=True)),
            )
        )
    asked: dict[int, list[float]] = {}
    for timings in own_groups:
        for inputs, seconds in timings.requests.get(subject.timed_as, {}).items():
            asked.setdefault(inputs, []).extend(seconds)
    return BenchmarkSubject(
        id=subject.id,
        digest=subject.digest,
        execution_precision=own_groups[0].opened[subject.timed_as].execution_precision,
        load_seconds=own_groups[0].opened[subject.timed_as].load_seconds,
        peak_memory_bytes=max(timings.peak_memory_bytes[subject.timed_as] for timings in own_groups),
        size_bytes=subject.size_bytes,
        rows=tuple(rows),
        device=subject.device,
        settings=subject.settings,
        tuning=subject.tuning,
        requests=tuple(_request_row(inputs, seconds) for inputs, seconds in asked.items()),
    )


def _request_row(inputs: int, seconds: list[float]) -> RequestRow:
    p50, p95 = (1000 * float(value) for value in np.percentile(seconds, (50, 95)))
    return RequestRow(inputs=inputs, p50_ms=p50, p95_ms=p95)
