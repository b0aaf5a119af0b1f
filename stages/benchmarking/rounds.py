"""The rounds of one group: in each, every subject scores every workload once, one at a time, in turn."""

import time
from typing import NamedTuple

from msgspec import Struct

from stages.benchmarking.requests import first_calls, requests
from stages.benchmarking.subjects import TimedSubject
from stages.benchmarking.worker import Opened
from stages.benchmarking.worker_pool import Worker, workers
from stages.records.benchmarks import BASELINE
from stages.records.model_spec import ModelSpec
from stages.records.pairs import Texts

FEWEST_ROUNDS = 2
REQUESTS_SHARE = 0.1  # of the seconds: no larger requests are asked when those before them took that long
FAR_SLOWER = 1.5  # times torch float32's seconds in the warm-up; the warm-up also prepares, so that less may be noise

Key = tuple[str, int]  # a workload and a batch size
Batches = dict[Key, list[Texts]]


class Budget(NamedTuple):
    """How many rounds to run, and the seconds after which there are fewer."""

    rounds: int
    seconds: float


class Timings(Struct):
    """What one group measured. `seconds[subject][key]` is a list over rounds of lists over batches,
    `requests[subject][inputs]` a list over calls."""

    seconds: dict[str, dict[Key, list[list[float]]]]
    requests: dict[str, dict[int, list[float]]]
    opened: dict[str, Opened]
    peak_memory_bytes: dict[str, int]


def time_group(
    group: list[TimedSubject],
    spec: ModelSpec,
    threads: int,
    workloads: dict[str, Texts],
    batches: Batches,
    budget: Budget,
) -> Timings:
    """Ask the requests while their lengths are new; then warm up once, and run the rounds, fewer if they would take
    longer than the budget."""
    found = Timings(seconds={}, requests={}, opened={}, peak_memory_bytes={})
    with workers(group, spec, threads) as open_workers:
        started = time.perf_counter()
        _ask_requests(open_workers, requests(workloads, spec.max_length), first_calls(workloads), budget, found)
        budget = Budget(budget.rounds, budget.seconds - (time.perf_counter() - started))
        number, planned = 0, budget.rounds
        while number <= planned:
            started = time.perf_counter()
            seconds = _round(open_workers, batches)
            took = time.perf_counter() - started
            if number == 0:
                planned = _planned_rounds(open_workers, seconds, took, budget)
            else:
                _record(found, seconds)
            note = " (warm-up)" * (number == 0)
            print(f"round {number} of {planned} done in {took:.1f} s{note}", flush=True)
            number += 1
        for worker in open_workers:
            if worker.finish() and worker.opened is not None:
                found.opened[worker.subject.label] = worker.opened
                found.peak_memory_bytes[worker.subject.label] = worker.peak_memory_bytes
    return found


def _ask_requests(
    open_workers: list[Worker], wanted: dict[int, list[Texts]], first: list[Texts], budget: Budget, found: Timings
) -> None:
    """Time the requests for the graphs and torch float32, the larger ones only while there is time. Torch's half
    precisions may be too slow for them."""
    asked = [worker for worker in open_workers if not worker.subject.is_half_torch]
    for worker in asked:
        worker.ask(first)
    end = time.perf_counter() + REQUESTS_SHARE * budget.seconds
    for inputs, calls in wanted.items():
        if found.requests and time.perf_counter() > end:
            return
        for worker in asked:
            timed = worker.ask(calls)
            if timed is not None:
                found.requests.setdefault(worker.subject.label, {})[inputs] = timed


def _round(open_workers: list[Worker], batches: Batches) -> dict[str, dict[Key, list[float]]]:
    found: dict[str, dict[Key, list[float]]] = {}
    for key, work in batches.items():
        for worker in open_workers:
            timed = worker.ask(work)
            if timed is not None:
                found.setdefault(worker.subject.label, {})[key] = timed
    return found


def _record(found: Timings, seconds: dict[str, dict[Key, list[float]]]) -> None:
    for label, by_key in seconds.items():
        for key, timed in by_key.items():
            found.seconds.setdefault(label, {}).setdefault(key, []).append(timed)


def _planned_rounds(
    open_workers: list[Worker], seconds: dict[str, dict[Key, list[float]]], took: float, budget: Budget
) -> int:
    """How many rounds fit after the warm-up, which took `took` seconds; slow torch rows are left out first."""
    left = budget.seconds - took
    warm_up = {label: sum(map(sum, by_key.values())) for label, by_key in seconds.items()}
    per_round = took - _leave_out_slow_torch(open_workers, warm_up, took, left / budget.rounds)
    return max(min(FEWEST_ROUNDS, budget.rounds), min(budget.rounds, int(left / per_round)))


def _leave_out_slow_torch(
    open_workers: list[Worker], warm_up: dict[str, float], per_round: float, allowed: float
) -> float:
    """Leave out torch's half precisions that are far slower than torch float32 on the CPU, the slowest first, while a
    round of `per_round` seconds takes more than is `allowed`. Returns how many seconds shorter a round is then."""
    saved = 0.0
    for worker in sorted(open_workers, key=lambda worker: -warm_up.get(worker.subject.label, 0.0)):
        subject = worker.subject
        own = warm_up.get(subject.label, 0.0)
        times = own / warm_up[BASELINE]
        is_half = subject.is_half_torch and subject.device == "cpu"
        if is_half and not worker.failed and times > FAR_SLOWER and per_round - saved > allowed:
            worker.leave_out(f"{times:.1f} times as slow as {BASELINE}, and not all rounds fit benchmark.max_minutes")
            saved += own
    return saved
