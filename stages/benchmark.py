"""Stage `benchmark`: speed of every built variant beside torch fp32, bf16 and fp16, on this host.

Every candidate lives in a process of its own; in each round each scores every workload once, one at a time, so that
what else the machine does falls on all alike. A ratio compares with torch fp32 in the same round.
"""

import contextlib
import multiprocessing
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

import msgspec
import numpy as np

from artificer.manifest import (
    Benchmark,
    BenchmarkRow,
    BenchmarkSubject,
    ExecutionPrecision,
    canonical_json,
    tree_digest,
)
from stages import bench_worker, figures, files, paths
from stages.bench_worker import Candidate, Opened, Pairs
from stages.build import load_record, published_files
from stages.data import load_workloads
from stages.errors import ToolchainError
from stages.host import current_host
from stages.params import load_params
from stages.spec import ModelSpec, load_spec
from stages.summary import BASELINE
from stages.variants import row

TORCH_ROWS: dict[str, ExecutionPrecision] = {BASELINE: "f32", "torch-bf16": "bf16", "torch-fp16": "f16"}

Key = tuple[str, int]


def run(slug: str) -> None:
    """Write benchmark.json, and the same into registry/benchmarks/<slug>/<host>.json, where figures accumulate."""
    spec, params, host = load_spec(slug), load_params(), current_host()
    preset = params.benchmark.chosen
    threads = params.benchmark.threads or host.cores
    workloads = load_workloads(slug)
    keys = [(name, size) for name in workloads for size in preset.batch_sizes]
    # seconds[candidate][key] is a list over rounds of lists over batches
    seconds: dict[str, dict[Key, list[list[float]]]] = {}
    with _workers(candidates(slug, spec), spec, threads) as workers:
        for round_number in range(preset.rounds + 1):
            for key in keys:
                batches = split(workloads[key[0]], key[1])
                for worker in workers:
                    timed = worker.ask(batches)
                    if timed is not None and round_number > 0:  # round 0 warms up
                        seconds.setdefault(worker.candidate.id, {}).setdefault(key, []).append(timed)
            print(f"round {round_number} of {preset.rounds} done" + (" (warm-up)" * (round_number == 0)), flush=True)
        subjects = [_subject(worker, seconds, keys, workloads) for worker in workers if worker.finish()]
    found = Benchmark(
        host=host, preset=params.benchmark.preset, threads=threads, rounds=preset.rounds, subjects=tuple(subjects)
    )
    files.write_file(paths.benchmarks(slug) / f"{host.name}.json", canonical_json(found))
    files.write_file(paths.benchmark(slug), canonical_json(found))
    print(f"{host.name}, {threads} threads each, ratios to {BASELINE}")
    for subject in subjects:
        speedup = figures.geometric_mean([r.speedup for r in subject.rows])
        memory = subject.peak_memory_bytes / 1e6
        print(f"{subject.id:24} {speedup:6.2f}x  load {subject.load_seconds:5.2f} s  peak {memory:7.0f} MB")


def load_benchmarks(slug: str) -> tuple[Benchmark, ...]:
    """Figures of every host, this one's from this build, sorted by host."""
    own = msgspec.json.decode(paths.benchmark(slug).read_bytes(), type=Benchmark)
    others = [
        msgspec.json.decode(path.read_bytes(), type=Benchmark)
        for path in sorted(paths.benchmarks(slug).glob("*.json"))
        if path.stem != own.host.name
    ]
    return tuple(sorted([own, *others], key=lambda benchmark: benchmark.host.name))


def candidates(slug: str, spec: ModelSpec) -> list[Candidate]:
    """Torch in three dtypes, then every built variant at its own precision; what OpenVINO would choose by itself is
    `parity`'s matter."""
    weights = sum(entry.size for entry in spec.source.files if entry.path.endswith(".safetensors"))
    found = [
        Candidate(
            id=name, digest=None, runtime=None, path=paths.source(slug), inputs=(), execution_precision=precision,
            size_bytes=weights,
        )
        for name, precision in TORCH_ROWS.items()
    ]  # fmt: skip
    for variant_id in spec.variants:
        record, table_row = load_record(slug, variant_id), row(variant_id)
        if record.status == "built":
            found.append(
                Candidate(
                    id=variant_id,
                    digest=tree_digest(published_files(record)),
                    runtime=table_row.runtime,
                    path=paths.variant(slug, table_row) / table_row.file_name,
                    inputs=record.inputs,
                    execution_precision=table_row.execution_precision,
                    size_bytes=sum(entry.size for entry in record.files),
                )
            )
    return found


def split(pairs: Pairs, batch_size: int) -> list[Pairs]:
    """Batches in order; the last may be shorter."""
    return [pairs[start : start + batch_size] for start in range(0, len(pairs), batch_size)]


class _Worker:
    """A candidate's process. One that fails says so once and is left out from then on."""

    def __init__(self, candidate: Candidate, process: Any, connection: Connection):
        self.candidate = candidate
        self.process = process
        self.connection = connection
        self.failed = False
        self.peak_memory_bytes = 0
        opened = self._receive()
        self.opened = opened if isinstance(opened, Opened) else None

    def ask(self, batches: list[Pairs]) -> list[float] | None:
        if self.failed:
            return None
        self._send(batches)
        answer = self._receive()
        return answer if isinstance(answer, list) else None

    def finish(self) -> bool:
        """Close the process; whether it has run to the end."""
        if not self.failed:
            self._send(None)
            self.peak_memory_bytes = self._receive() or 0
        return not self.failed

    def _send(self, message: list[Pairs] | None) -> None:
        with contextlib.suppress(OSError):  # a dead process is what `_receive` reports
            self.connection.send(message)

    def _receive(self) -> Any:
        try:
            answer = self.connection.recv()
        except (EOFError, OSError):
            answer = "the process was killed, which is what a system short of memory does"
        if isinstance(answer, str):
            self.failed = True
            print(f"{self.candidate.id:24} left out: {answer}", flush=True)
            if self.candidate.id == BASELINE:
                raise ToolchainError(f"{BASELINE} cannot be timed, and every ratio is to it: {answer}")
        return answer


@contextmanager
def _workers(wanted: list[Candidate], spec: ModelSpec, threads: int) -> Iterator[list[_Worker]]:
    context = multiprocessing.get_context("spawn")
    processes: list[Any] = []
    workers: list[_Worker] = []
    try:
        for candidate in wanted:
            ours, theirs = context.Pipe()
            arguments = (theirs, candidate, spec, paths.source(spec.slug), threads)
            process = context.Process(target=bench_worker.serve, args=arguments, daemon=True)
            process.start()
            processes.append(process)
            theirs.close()
            workers.append(_Worker(candidate, process, ours))
        yield workers
    finally:
        for process in processes:
            process.terminate()
            process.join()


def _subject(
    worker: _Worker, seconds: dict[str, dict[Key, list[list[float]]]], keys: list[Key], workloads: dict[str, Pairs]
) -> BenchmarkSubject:
    assert worker.opened is not None  # a worker that did not open has failed
    candidate, rows = worker.candidate, []
    for key in keys:
        rounds, baseline = seconds[candidate.id][key], seconds[BASELINE][key]
        pairs = len(workloads[key[0]])
        p50, p95, p99 = (1000 * value for value in np.percentile(np.concatenate(rounds), (50, 95, 99)))
        rows.append(
            BenchmarkRow(
                workload=key[0],
                batch_size=key[1],
                pairs_per_second=statistics.median(pairs / sum(batches) for batches in rounds),
                p50_ms=float(p50),
                p95_ms=float(p95),
                p99_ms=float(p99),
                speedup=statistics.median(sum(b) / sum(own) for own, b in zip(rounds, baseline, strict=True)),
            )
        )
    return BenchmarkSubject(
        id=candidate.id,
        digest=candidate.digest,
        execution_precision=worker.opened.execution_precision,
        load_seconds=worker.opened.load_seconds,
        peak_memory_bytes=worker.peak_memory_bytes,
        size_bytes=candidate.size_bytes,
        rows=tuple(rows),
    )
