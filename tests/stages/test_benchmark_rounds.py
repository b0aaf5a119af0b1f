"""Which candidates of a benchmark are timed together, and how many rounds they get."""

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages import benchmark
from stages.benchmarking import groups, rounds
from stages.benchmarking.requests import CALLS, requests
from stages.benchmarking.rounds import Budget, time_group
from stages.benchmarking.subjects import TimedSubject
from stages.benchmarking.worker import Opened


def subject(name: str, size: float, runtime: Any = "onnx") -> TimedSubject:
    """A subject of that many bytes."""
    return TimedSubject(
        id=name, digest=None, runtime=runtime, path=Path(name), inputs=(), execution_precision="f32",
        size_bytes=int(size),
    )  # fmt: skip


@given(sizes=st.lists(st.floats(0, 4e9), max_size=12), room=st.floats(1e9, 3e10))
def test_groups_hold_every_candidate_once_beside_torch_and_fit(sizes: list[float], room: float) -> None:
    """However many there are, the order stays, and more than two are together only where they fit."""
    baseline = subject("torch-fp32", 2e9, runtime=None)
    others = [subject(str(i), size) for i, size in enumerate(sizes)]
    found = groups.fitting_groups([baseline, *others], room)
    assert [each for group in found for each in group[1:]] == others
    for group in found:
        assert group[0] is baseline
        assert len(group) <= 2 or sum(map(groups.resident_estimate, group)) <= room


def test_small_models_are_all_measured_together() -> None:
    """Interleaving all candidates in one run is fairest, and what a small model always gets."""
    wanted = [subject("torch-fp32", 9e7, runtime=None), *(subject(str(i), 9e7) for i in range(13))]
    assert groups.fitting_groups(wanted, groups.RESIDENT_BYTES) == [wanted]


SPEC: Any = SimpleNamespace(max_length=512)


class TimedWorker:
    """A candidate that takes so many seconds for its work, by a clock that it moves itself."""

    def __init__(self, name: str, seconds: float, clock: list[float]):
        self.subject = subject(name, 1e8, runtime=None if name.startswith("torch") else "onnx")
        self.seconds, self.clock, self.asked = seconds, clock, 0
        self.failed, self.opened, self.peak_memory_bytes = False, Opened(1.0, "f32"), 1

    def ask(self, work: Any) -> list[float] | None:
        """Seconds of each batch, unless it is left out."""
        if self.failed or not work:
            return None
        self.asked += 1
        self.clock[0] += self.seconds
        return [self.seconds / len(work)] * len(work)

    def leave_out(self, why: str) -> None:
        """From now on, for a reason."""
        self.failed = bool(why)

    def finish(self) -> bool:
        """Whether it ran to the end."""
        return not self.failed


@pytest.mark.parametrize(
    ("minutes", "rounds_of_each"),
    [
        (10, {"torch-fp32": 6, "torch-bf16": 6, "torch-fp16": 6, "onnx": 6}),
        (3, {"torch-fp32": 6, "torch-bf16": 6, "torch-fp16": 1, "onnx": 6}),
        (2.1, {"torch-fp32": 4, "torch-bf16": 4, "torch-fp16": 1, "onnx": 4}),
    ],
)
def test_rounds_that_do_not_fit_are_spared_by_the_slow_torch_rows_first(
    monkeypatch: pytest.MonkeyPatch, minutes: float, rounds_of_each: dict[str, int]
) -> None:
    """Five rounds and the warm-up: all of them where there is time, then without torch float16 at ten times torch
    float32's seconds, and with too little time for that as well fewer rounds; torch bf16 at 1.2 times stays: it may be
    noise."""
    clock = [0.0]
    seconds = {"torch-fp32": 5, "torch-bf16": 6, "torch-fp16": 60, "onnx": 5}
    workers = [TimedWorker(name, taken, clock) for name, taken in seconds.items()]
    monkeypatch.setattr("stages.benchmarking.rounds.time.perf_counter", lambda: clock[0])
    monkeypatch.setattr(rounds, "workers", lambda *_: nullcontext(workers))
    monkeypatch.setattr(rounds, "requests", lambda *_: {})
    monkeypatch.setattr(rounds, "first_calls", lambda _: [])
    subjects = [worker.subject for worker in workers]
    found = time_group(subjects, SPEC, 2, {}, {("short", 1): [[("q", "p")]]}, Budget(5, minutes * 60))
    assert {worker.subject.id: worker.asked for worker in workers} == rounds_of_each
    assert clock[0] <= minutes * 60
    assert set(found.peak_memory_bytes) == {name for name, asked in rounds_of_each.items() if asked > 1}


WORKLOADS = {"short": [("how deep", "a lake is deep"), ("how far", "the moon is far away")], "long": [("q", "一二三")]}


def test_no_single_request_has_the_length_of_another() -> None:
    """A runtime that compiles for each shape meets new ones; equal inputs give equal requests."""
    found = requests(WORKLOADS, 512)
    assert {inputs: len(calls) for inputs, calls in found.items()} == CALLS
    assert all(len(call) == inputs for inputs, calls in found.items() for call in calls)
    words = [len(call[0][1].split()) for call in found[1]]
    assert len(set(words)) == len(words)
    assert min(words) < 20 < 100 < max(words)
    assert found == requests(WORKLOADS, 512)
    short = requests(WORKLOADS, 24)
    assert {len(call[0][1].split()) for call in short[1]} <= set(range(3, 13))


def test_requests_are_asked_before_the_rounds_and_not_of_slow_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """While their lengths are new to each process; torch's half precisions may take minutes for them."""
    workers = [TimedWorker(name, 1.0, [0.0]) for name in ("torch-fp32", "torch-fp16", "onnx")]
    monkeypatch.setattr(rounds, "workers", lambda *_: nullcontext(workers))
    subjects = [worker.subject for worker in workers]
    found = time_group(subjects, SPEC, 2, WORKLOADS, {("short", 1): [WORKLOADS["short"]]}, Budget(1, 60))
    assert {
        name: {inputs: len(times) for inputs, times in asked.items()} for name, asked in found.requests.items()
    } == {
        "torch-fp32": CALLS,
        "onnx": CALLS,
    }
    assert [worker.asked for worker in workers] == [6, 2, 6]  # a first call, three sizes of requests; then two rounds


@pytest.mark.parametrize("busy", [3.0, 60.0])
def test_a_busy_machine_is_said_before_it_is_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], busy: float
) -> None:
    """With the command that measures again; a quiet one is not mentioned."""
    monkeypatch.setattr(psutil, "cpu_percent", lambda **_: busy)
    benchmark._warn_if_busy("demo")
    out = capsys.readouterr().out
    assert out.startswith("warning: other programs use 60 % of this machine") if busy > 50 else out == ""
