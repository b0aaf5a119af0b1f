"""A short measurement before the rounds: how an execution's batches are best formed and spread on this host.

It changes speed alone. Which way of batching wins is compared with the default way, and the scores of both must agree
as far as parity found that scores move with the batch.
"""

import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from itertools import cycle, islice

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from artificer.backends import BACKENDS, open_with
from artificer.backends.session import Session, SessionOptions
from artificer.backends.stream_pool import files_of, fits
from artificer.host.memory import available_memory
from artificer.inference.batching import DEFAULT_TOKENS
from artificer.inference.scoring import score_encoded
from artificer.inference.tokenization import Encoded, TextTokenizer
from artificer.manifest import Head, Tuning
from artificer.tasks.task import TASKS, Task
from stages.benchmarking.subjects import TimedSubject
from stages.core.child_process import in_child
from stages.records.model_spec import ModelSpec
from stages.records.open_tokenizer import open_tokenizer
from stages.records.pairs import Texts

PAIRS = 100  # of a call: what a service ranks at once
FEWEST_PAIRS = 32
SPLIT_CALLS = (10, 30)
STILL_AS_FAST = 0.98
FEW_PAIRS = 8  # of a call that may not become slower
LEAST_TOKENS, MOST_TOKENS = 256, 4096
STEP = 1.01  # times the speed of half or twice as many tokens: less is no direction
WORTH_IT = 1.05  # times the default's speed: less may be noise
LONGEST = 20  # times the seconds that are asked for: then what is not decided stays as it is
_PASSES = 30  # about as many calls as are timed
_REPEATS = 2
_ROWS = 32


class Tuned(Struct, frozen=True, kw_only=True):
    """What was found: the tuning, and its speed over the default's for a call with many pairs."""

    tuning: Tuning
    speed_ratio: float


def tune(subject: TimedSubject, spec: ModelSpec, threads: int, texts: Texts, seconds: float, movement: float) -> Tuned:
    """Measure in a process of its own, so that the memory of what loses is no figure of what wins.

    Args:
        texts: from which calls of many pairs are made.
        seconds: about how long to measure; slow executions are asked fewer pairs, and take up to LONGEST times as long.
        movement: how far a score may differ from the default way's.

    Raises:
        Exception: whatever the runtime does.
    """
    return in_child(_tune, subject, spec, threads, texts, seconds, movement, weights=None)


def _tune(subject: TimedSubject, spec: ModelSpec, threads: int, texts: Texts, seconds: float, movement: float) -> Tuned:
    tokenizer, task = open_tokenizer(spec, subject.inputs), TASKS[spec.task]
    with ExitStack() as opened:

        def session(streams: int) -> Session:
            options = SessionOptions(
                threads=threads,
                execution_precision=subject.execution_precision,
                device=subject.device,
                settings=subject.settings,
                output=task.output,
                tuning=Tuning(streams=streams),
            )
            found = open_with(subject.runtime or "", subject.path, options)
            return opened.enter_context(closing(found))

        sessions = {count: session(count) for count in stream_counts(subject, threads)}
        trial = Trial(sessions, tokenizer, task, spec.head, texts, seconds)
        return trial.best(movement)


def stream_counts(subject: TimedSubject, threads: int) -> list[int]:
    """How many streams to try: 1, one for each thread, and powers of two between where a stream may have several
    threads. 1 alone where a copy of the graph does not fit into memory, and on a GPU."""
    assert subject.runtime is not None
    backend = BACKENDS[subject.runtime]
    files = files_of(subject.path, backend.sidecars(subject.path))
    if subject.device != "cpu" or threads == 1 or not fits(files, available_memory()):
        return [1]
    between = [2**n for n in range(1, threads.bit_length()) if 2**n < threads]
    return [1, *(between if backend.threads_per_stream is None else []), threads]


class Trial:
    """Times ways of batching one call, interleaved."""

    def __init__(
        self,
        sessions: dict[int, Session],
        tokenizer: TextTokenizer,
        task: Task,
        head: Head,
        texts: Texts,
        seconds: float,
    ):
        self._sessions = sessions
        self._tokenizer = tokenizer
        self._task = task
        self._head = head
        self._texts = texts
        self._warm: set[tuple[Tuning, int]] = set()
        self._deadline = time.perf_counter() + LONGEST * seconds
        first = self._call(FEWEST_PAIRS)
        default = Tuning(streams=1, max_tokens=DEFAULT_TOKENS)
        self._seconds(default, first)
        pairs = int(FEWEST_PAIRS * seconds / _PASSES / max(self._seconds(default, first), 1e-9))
        self._many = self._call(max(FEWEST_PAIRS, min(PAIRS, pairs)))

    def best(self, movement: float) -> Tuned:
        """The fastest way for many pairs; with streams, also from how many pairs on a call is split over them."""
        default = Tuning(streams=max(self._sessions), max_tokens=DEFAULT_TOKENS)
        streams = self._fastest([replace(default, streams=count) for count in self._sessions])
        best = self._climb(streams)
        ratio = self._ratio(default, best, self._many)
        if best != default and not (
            ratio >= WORTH_IT
            and self._ratio(default, best, self._call(FEW_PAIRS)) >= STILL_AS_FAST
            and self._agree(default, best, self._many, movement)
        ):
            best, ratio = default, 1.0
        if best.streams != 1:
            best = self._with_split(best, movement)
        return Tuned(tuning=best, speed_ratio=round(ratio, 3))

    def _climb(self, start: Tuning) -> Tuning:
        """Double the tokens of a batch as long as that is faster, else halve them."""
        for factor in (2.0, 0.5):
            best = start
            while LEAST_TOKENS <= (tokens := int((best.max_tokens or 0) * factor)) <= MOST_TOKENS:
                other = replace(best, max_tokens=tokens)
                if self._ratio(best, other, self._many) < STEP:
                    break
                best = other
            if best != start:
                return best
        return start

    def _with_split(self, best: Tuning, movement: float) -> Tuning:
        """Split calls from the smallest size on from which splitting is faster at every size that is tried."""
        split_from = None
        for count in reversed(SPLIT_CALLS):
            call, split = self._call(count), replace(best, split_from=count)
            if self._ratio(best, split, call) < WORTH_IT or not self._agree(best, split, call, movement):
                break
            split_from = count
        return replace(best, split_from=split_from)

    def _fastest(self, ways: Sequence[Tuning]) -> Tuning:
        best, *others = ways
        for other in others:
            best = other if self._ratio(best, other, self._many) > 1 else best
        return best

    def _ratio(self, one: Tuning, other: Tuning, call: Encoded) -> float:
        """How many times as fast the other way is: the best times of both, interleaved, each after a warm-up. As fast
        where no time is left."""
        if one == other or time.perf_counter() > self._deadline:
            return 1.0
        for way in (one, other):
            if (way, len(call)) not in self._warm:
                self._warm.add((way, len(call)))
                self._seconds(way, call)
        times = [(self._seconds(one, call), self._seconds(other, call)) for _ in range(_REPEATS)]
        return min(first for first, _ in times) / max(min(second for _, second in times), 1e-9)

    def _agree(self, one: Tuning, other: Tuning, call: Encoded, movement: float) -> bool:
        found, expected = (self._task.scores(self._logits(way, call), self._head) for way in (one, other))
        return bool(np.abs(found - expected).max() <= movement)

    def _seconds(self, way: Tuning, call: Encoded) -> float:
        started = time.perf_counter()
        self._logits(way, call)
        return time.perf_counter() - started

    def _logits(self, way: Tuning, call: Encoded) -> NDArray[np.float32]:
        session = self._sessions[way.streams or 1]
        return score_encoded(session, self._tokenizer, call, collect=self._task.collect, batch_size=_ROWS, tuning=way)

    def _call(self, count: int) -> Encoded:
        return self._tokenizer.encode(islice(cycle(self._texts), count))
