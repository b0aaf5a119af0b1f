"""Stage `benchmark`: speed of every built variant beside torch fp32, bf16 and fp16, on this host and its GPU.

Every subject lives in a process of its own; in each round each scores every workload once, one at a time, so that
what else the machine does falls on all alike. A ratio compares with torch fp32 in the same round. Where all of them
together would not fit into memory, they take turns in groups, each beside a torch fp32 of its own. Where the rounds
would take longer than `benchmark.max_minutes`, torch's half precisions are left out if they are far slower than torch
fp32, as on a CPU without instructions for them; if that is not enough, there are fewer rounds, never less than two.
"""

import contextlib
import multiprocessing
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

import msgspec
import numpy as np
import psutil
from msgspec import Struct

from artificer.backends import BACKENDS
from artificer.manifest import (
    Benchmark,
    BenchmarkRow,
    BenchmarkSubject,
    Device,
    ExecutionPrecision,
    Host,
    canonical_json,
    tree_digest,
)
from stages.building.variant_builder import load_record, published_files
from stages.core import files, paths
from stages.core.errors import ToolchainError
from stages.core.params import load_params
from stages.core.variants import row
from stages.data import load_workloads
from stages.host import current_host
from stages.measuring import benchmark_worker
from stages.measuring.benchmark_worker import Opened, Pairs, TimedSubject
from stages.packaging.summary import BASELINE
from stages.records.model_spec import ModelSpec, load_spec
from stages.running import preflight

TORCH_ROWS: dict[str, ExecutionPrecision] = {BASELINE: "f32", "torch-bf16": "bf16", "torch-fp16": "f16"}

# What all subjects together may hold, and what a process needs before it holds a model.
RESIDENT_BYTES = 12e9
PROCESS_BYTES = 0.4e9
FEWEST_ROUNDS = 2
BUSY_PERCENT = 20.0  # of all CPUs, while nothing of ours runs
FAR_SLOWER = 1.5  # times torch fp32's seconds in the warm-up, which also prepares: less may be noise

Key = tuple[str, int]
Batches = dict[Key, list[Pairs]]


class Timings(Struct):
    """What one group measured. `seconds[subject][key]` is a list over rounds of lists over batches."""

    seconds: dict[str, dict[Key, list[list[float]]]]
    opened: dict[str, Opened]
    peak_memory_bytes: dict[str, int]


def run(slug: str) -> None:
    """Write benchmark.json, and the same into registry/benchmarks/<slug>/<host>.json, where figures accumulate."""
    spec, params, host = load_spec(slug), load_params().benchmark, current_host()
    threads = params.threads or host.cores
    workloads = load_workloads(slug)
    batches = {(n, size): split(workloads[n], size) for n in workloads for size in params.chosen.batch_sizes}
    wanted = timed_subjects(slug, spec, host)
    timed = [subject for subject in wanted if subject.alias_of is None]
    groups = fitting_groups(timed, min(RESIDENT_BYTES, preflight.available_memory()[0]))
    if len(groups) > 1:
        print(f"{len(timed)} subjects in {len(groups)} groups, each beside {BASELINE}: less memory", flush=True)
    _warn_if_busy(slug)
    measured = [
        _measure(group, spec, threads, batches, params.chosen.rounds, params.max_minutes * 60 / len(groups))
        for group in groups
    ]
    subjects = [
        _subject(subject, measured, batches)
        for subject in wanted
        if any(subject.timed_as in timings.peak_memory_bytes for timings in measured)
    ]
    found = Benchmark(
        host=host,
        preset=params.preset,
        threads=threads,
        rounds=min(len(next(iter(timings.seconds[BASELINE].values()))) for timings in measured),
        subjects=tuple(subjects),
    )
    files.write_file(paths.benchmarks(slug) / f"{host.name}.json", canonical_json(found))
    files.write_file(paths.benchmark(slug), canonical_json(found))
    print(f"{host.name}, {threads} threads each, ratios to {BASELINE}")
    for subject in subjects:
        speedup = statistics.geometric_mean(r.speedup for r in subject.rows)
        memory = subject.peak_memory_bytes / 1e6
        print(f"{subject.label:24} {speedup:6.2f}x  load {subject.load_seconds:5.2f} s  peak {memory:7.0f} MB")


def _warn_if_busy(slug: str) -> None:
    """Say it when other programs keep the machine busy: torch suffers more from that than the variants do, so that
    ratios come out too large."""
    busy = psutil.cpu_percent(interval=1.0)
    if busy > BUSY_PERCENT:
        print(
            f"warning: other programs use {busy:.0f} % of this machine: the speeds will be wrong. Measure again when "
            f"it is quiet: `dvc repro -s -f benchmark@{slug}`, then `dvc repro`.",
            flush=True,
        )


def fitting_groups(wanted: list[TimedSubject], room: float) -> list[list[TimedSubject]]:
    """Candidates that may be in memory together, each group led by torch fp32, in order; one group if all fit.

    `room` is in bytes. A subject that does not fit beside torch fp32 has a group of its own all the same: it may need
    less than is estimated, and what becomes of it is recorded.
    """
    baseline, *others = wanted
    groups: list[list[TimedSubject]] = []
    for subject in others:
        if not groups or sum(map(resident_estimate, [*groups[-1], subject])) > room:
            groups.append([baseline])
        groups[-1].append(subject)
    return groups or [[baseline]]


def resident_estimate(subject: TimedSubject) -> float:
    """An estimate of what a subject's process holds at its peak: the runtime, and the weights while they load."""
    if subject.runtime is None:
        return PROCESS_BYTES + 1.3 * subject.size_bytes
    return PROCESS_BYTES + 2.3 * subject.size_bytes


def load_benchmarks(slug: str) -> tuple[Benchmark, ...]:
    """Figures of every host, this one's from this build, sorted by host."""
    own = msgspec.json.decode(paths.benchmark(slug).read_bytes(), type=Benchmark)
    others = [
        msgspec.json.decode(path.read_bytes(), type=Benchmark)
        for path in sorted(paths.benchmarks(slug).glob("*.json"))
        if path.stem != own.host.name
    ]
    return tuple(sorted([own, *others], key=lambda benchmark: benchmark.host.name))


def timed_subjects(slug: str, spec: ModelSpec, host: Host) -> list[TimedSubject]:
    """Torch in three dtypes, then every built variant at its own precision; what OpenVINO would choose by itself is
    `parity`'s matter. On a host with an NVIDIA GPU, torch and the graphs that can run there on that as well."""
    weights = sum(entry.size for entry in spec.source.files if entry.path.endswith(".safetensors"))
    devices: tuple[Device, ...] = ("cpu", "cuda") if host.accelerators else ("cpu",)
    found = [
        TimedSubject(
            id=name, digest=None, runtime=None, path=paths.source(slug), inputs=(), execution_precision=precision,
            size_bytes=weights, device=device,
        )
        for device in devices
        for name, precision in TORCH_ROWS.items()
    ]  # fmt: skip
    for variant_id in spec.variants:
        record, table_row = load_record(slug, variant_id), row(variant_id)
        if record.status == "built":
            alias = next((each.id for each in found if each.id == record.alias_of), None)
            found.append(
                TimedSubject(
                    id=variant_id,
                    digest=tree_digest(published_files(record)),
                    runtime=table_row.backend,
                    path=paths.variant(slug, table_row) / table_row.file_name,
                    inputs=record.inputs,
                    execution_precision=table_row.execution_precision,
                    size_bytes=sum(entry.size for entry in record.files),
                    alias_of=alias,
                )
            )
            if BACKENDS[table_row.backend].device_problem(host, "cuda", table_row.precision_class) is None:
                found.append(msgspec.structs.replace(found[-1], device="cuda"))
    return found


def split(pairs: Pairs, batch_size: int) -> list[Pairs]:
    """Batches in order; the last may be shorter."""
    return [pairs[start : start + batch_size] for start in range(0, len(pairs), batch_size)]


class _Worker:
    """A subject's process. One that fails says so once and is left out from then on."""

    def __init__(self, subject: TimedSubject, process: Any, connection: Connection):
        self.subject = subject
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

    def leave_out(self, why: str) -> None:
        """Say why, end the process, and ask it no more."""
        self.failed = True
        print(f"{self.subject.label:24} left out: {why}", flush=True)
        self.process.terminate()

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
            self.leave_out(answer)
            if self.subject.label == BASELINE:
                raise ToolchainError(f"{BASELINE} cannot be timed, and every ratio is to it: {answer}")
        return answer


@contextmanager
def _workers(wanted: list[TimedSubject], spec: ModelSpec, threads: int) -> Iterator[list[_Worker]]:
    context = multiprocessing.get_context("spawn")
    processes: list[Any] = []
    workers: list[_Worker] = []
    try:
        for subject in wanted:
            ours, theirs = context.Pipe()
            arguments = (theirs, subject, spec, paths.source(spec.slug), threads)
            process = context.Process(target=benchmark_worker.serve, args=arguments, daemon=True)
            process.start()
            processes.append(process)
            theirs.close()
            workers.append(_Worker(subject, process, ours))
        yield workers
    finally:
        for process in processes:
            process.terminate()
            process.join()


def _measure(
    group: list[TimedSubject], spec: ModelSpec, threads: int, batches: Batches, rounds: int, seconds: float
) -> Timings:
    """Warm up once, then run the rounds, fewer if `seconds` would be passed."""
    found = Timings(seconds={}, opened={}, peak_memory_bytes={})
    with _workers(group, spec, threads) as workers:
        number, planned = 0, rounds
        warm_up = dict.fromkeys((worker.subject.label for worker in workers), 0.0)
        while number <= planned:
            started = time.perf_counter()
            for key, work in batches.items():
                for worker in workers:
                    timed = worker.ask(work)
                    if timed is None:
                        continue
                    if number == 0:
                        warm_up[worker.subject.label] += sum(timed)
                    else:
                        found.seconds.setdefault(worker.subject.label, {}).setdefault(key, []).append(timed)
            took = time.perf_counter() - started
            if number == 0:
                left = seconds - took
                per_round = took - _leave_out_slow_torch(workers, warm_up, took, left / rounds)
                planned = max(min(FEWEST_ROUNDS, rounds), min(rounds, int(left / per_round)))
            note = " (warm-up)" * (number == 0)
            print(f"round {number} of {planned} done in {took:.1f} s{note}", flush=True)
            number += 1
        for worker in workers:
            if worker.finish() and worker.opened is not None:
                found.opened[worker.subject.label] = worker.opened
                found.peak_memory_bytes[worker.subject.label] = worker.peak_memory_bytes
    return found


def _leave_out_slow_torch(workers: list[_Worker], warm_up: dict[str, float], per_round: float, allowed: float) -> float:
    """Leave out torch's half precisions that are far slower than torch fp32 on the CPU, the slowest first, while a
    round of `per_round` seconds takes more than is `allowed`; how much shorter a round is then."""
    spared = 0.0
    for worker in sorted(workers, key=lambda worker: -warm_up[worker.subject.label]):
        subject = worker.subject
        times = warm_up[subject.label] / warm_up[BASELINE]
        is_half = subject.id in TORCH_ROWS and subject.id != BASELINE and subject.device == "cpu"
        if is_half and not worker.failed and times > FAR_SLOWER and per_round - spared > allowed:
            worker.leave_out(f"{times:.1f} times as slow as {BASELINE}, and not all rounds fit benchmark.max_minutes")
            spared += warm_up[subject.label]
    return spared


def _subject(subject: TimedSubject, measured: list[Timings], batches: Batches) -> BenchmarkSubject:
    """Figures over all groups that a subject, or its alias, was in: that is more than one for torch fp32 alone."""
    own_groups = [timings for timings in measured if subject.timed_as in timings.peak_memory_bytes]
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
    return BenchmarkSubject(
        id=subject.id,
        digest=subject.digest,
        execution_precision=own_groups[0].opened[subject.timed_as].execution_precision,
        load_seconds=own_groups[0].opened[subject.timed_as].load_seconds,
        peak_memory_bytes=max(timings.peak_memory_bytes[subject.timed_as] for timings in own_groups),
        size_bytes=subject.size_bytes,
        rows=tuple(rows),
        device=subject.device,
    )
