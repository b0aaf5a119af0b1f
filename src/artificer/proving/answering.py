"""A process that opens executions and answers for them, so that a runtime that crashes or hangs takes nothing along.

It reads questions from standard input and writes answers to standard output. `asking` starts it, and nothing else.
"""

import os
import pickle
import statistics
import struct
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import IO, Any

import numpy as np
from msgspec import Struct

from artificer.backends import BACKENDS, open_session
from artificer.backends.session import Session
from artificer.inference.scoring import score_texts
from artificer.inference.tokenization import TextTokenizer
from artificer.manifest import BenchmarkRow, Device, ExecutionPrecision, Manifest, Metrics, Settings
from artificer.proving.length_probe import Asked, Part, ask_lengths
from artificer.proving.outputs import batch_metrics, outputs
from artificer.proving.proof_set import PRESET, ProofSet, unpacked
from artificer.proving.reference_answers import Expected
from artificer.tasks.task import task_of

_FRAME = struct.Struct("<Q")
_BATCH, _SINGLES = 16, 4
_FEWEST_ROUNDS, _MOST_ROUNDS = 3, 25


class Package(Struct, frozen=True):
    """What to open: a published folder, whose files the asking process has verified."""

    folder: str
    manifest: bytes
    threads: int


class Question(Struct, frozen=True, kw_only=True):
    """An execution, and how much to ask of it: the first `pairs` texts, none if 0; texts of these `lengths`, by index;
    about `timing` seconds of rounds
    in turns with the baseline. `is_second`: it is the second process, which is asked the lengths
    alone. `is_baseline`: keep its session for the rounds of later questions."""

    variant: str
    precision: ExecutionPrecision
    device: Device
    settings: Settings
    pairs: int
    lengths: tuple[int, ...]
    timing: float
    is_second: bool = False
    is_baseline: bool = False


class Answer(Struct, frozen=True, kw_only=True):
    """What was found; `error` where the runtime raised something. `seconds` are those of the answer without timing."""

    error: str | None = None
    metrics: Metrics = {}
    asked: Asked | None = None
    rows: tuple[BenchmarkRow, ...] = ()
    load_seconds: float = 0.0
    peak_memory_bytes: int = 0
    seconds: float = 0.0


class _Answering:
    """The package with its proof set, and the session that speeds are compared with."""

    def __init__(self, package: Package):
        self._folder, self._threads = Path(package.folder), package.threads
        self._manifest = manifest = Manifest.from_json(package.manifest)
        self._task = task_of(manifest)
        assert manifest.proof is not None
        self._proof: ProofSet = unpacked((self._folder / manifest.proof.file.path).read_bytes())
        self._tokenizer = TextTokenizer.from_file(
            self._folder / manifest.tokenizer.file,
            manifest.tokenizer,
            max_length=manifest.max_length,
            inputs=manifest.inputs,
        )
        self._baseline: Session | None = None

    def answer(self, question: Question) -> Answer:
        """Open, ask, time, close."""
        started = time.perf_counter()
        try:
            session = self._open(question)
        except Exception as error:  # a runtime may raise anything
            return Answer(error=_line(error))
        load_seconds = time.perf_counter() - started
        if question.is_baseline:
            self._baseline = session
            return self._asked(session, question, load_seconds)
        with closing(session):
            return self._asked(session, question, load_seconds)

    def _open(self, question: Question) -> Session:
        variant = self._manifest.variant(question.variant)
        assert variant.graph is not None
        asked = question.precision if BACKENDS[variant.runtime].takes_precision else None
        return open_session(
            variant.runtime,
            self._folder / variant.graph,
            threads=self._threads,
            execution_precision=asked,
            device=question.device,
            settings=question.settings,
            output=self._task.output,
        )

    def _asked(self, session: Session, question: Question, load_seconds: float) -> Answer:
        started = time.perf_counter()
        expected = self._expected(question)
        try:
            metrics: Metrics = {}
            if question.pairs:
                found = outputs(session, self._tokenizer, expected, with_batches=True)
                metrics = self._task.differences(
                    found.logits, expected.logits, expected.head, expected.pairs, expected.top_k
                ) | batch_metrics(found, expected)
            asked = None
            if expected.lengths.texts:
                part: Part = "second" if question.is_second else "first"
                asked = ask_lengths(session, self._tokenizer, expected, part)
            seconds = time.perf_counter() - started
            rows = self._timed(session, question.timing) if question.timing else ()
        except Exception as error:  # a runtime may raise anything
            return Answer(error=_line(error), load_seconds=load_seconds)
        return Answer(
            metrics=metrics,
            asked=asked,
            rows=rows,
            load_seconds=load_seconds,
            peak_memory_bytes=_peak(),
            seconds=seconds,
        )

    def _expected(self, question: Question) -> Expected:
        proof, entry, lengths = self._proof, self._manifest.proof, self._proof.lengths
        assert entry is not None
        rows = question.pairs or 1
        return Expected(
            pairs=proof.texts[:rows],
            logits=np.asarray(proof.outputs[:rows], dtype=np.float32),
            task=self._task,
            head=self._manifest.head,
            batch_size=entry.batch_size,
            top_k=entry.top_k,
            lengths=lengths.at(question.lengths),
        )

    def _timed(self, session: Session, timing: float) -> tuple[BenchmarkRow, ...]:
        """One pair alone and a batch, in turns with the baseline: figures of this session, and ratios to the other.

        Which of the two goes first changes with each round.
        """
        found = []
        other = self._baseline or session
        for size, count in ((1, _SINGLES), (_BATCH, 1)):
            calls = [self._proof.texts[i * size : (i + 1) * size] for i in range(count)]
            calls = [call for call in calls if call]
            own: list[list[float]] = []
            ratios: list[float] = []
            self._seconds(other, calls), self._seconds(session, calls)  # warms up
            started = time.perf_counter()
            while len(own) < _MOST_ROUNDS and (len(own) < _FEWEST_ROUNDS or time.perf_counter() - started < timing / 2):
                timed = {each: self._seconds(each, calls) for each in _in_turn(session, other, len(own))}
                own.append(timed[session])
                ratios.append(sum(timed[other]) / sum(timed[session]))
            p50, p95, p99 = (1000 * value for value in np.percentile(np.concatenate(own), (50, 95, 99)))
            texts = sum(map(len, calls))
            found.append(
                BenchmarkRow(
                    workload=PRESET,
                    batch_size=size,
                    inputs_per_second=statistics.median(texts / sum(each) for each in own),
                    p50_ms=float(p50),
                    p95_ms=float(p95),
                    p99_ms=float(p99),
                    speedup=statistics.median(ratios),
                )
            )
        return tuple(found)

    def _seconds(self, session: Session, calls: list[Any]) -> list[float]:
        found = []
        for call in calls:
            started = time.perf_counter()
            score_texts(session, self._tokenizer, call, collect=self._task.collect, batch_size=_BATCH)
            found.append(time.perf_counter() - started)
        return found


def _in_turn(session: Session, other: Session, number: int) -> list[Session]:
    return [session, other] if number % 2 else [other, session]


def send(stream: IO[bytes], value: object) -> None:
    """One value to the other process, which is of this package too."""
    data = pickle.dumps(value)
    stream.write(_FRAME.pack(len(data)) + data)
    stream.flush()


def receive(stream: IO[bytes]) -> Any:
    """What `send` sent. Raises EOFError where the other process has ended."""
    header = stream.read(_FRAME.size)
    if len(header) < _FRAME.size:
        raise EOFError
    size = _FRAME.unpack(header)[0]
    data = stream.read(size)
    if len(data) < size:
        raise EOFError
    return pickle.loads(data)


def _line(error: Exception) -> str:
    """The first line of what a runtime raised."""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0][:300]}" if text else type(error).__name__


def _peak() -> int:
    """This process's peak resident set. Linux keeps it per program; getrusage counts that of a large parent."""
    status = Path("/proc/self/status")
    if status.exists():
        found = [line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
        return int(found[0]) * 1024 if found else 0
    try:
        import resource
    except ImportError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def main() -> None:
    """Answer until there are no more questions."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a runtime prints must not stand among the answers
    questions = sys.stdin.buffer
    answering = _Answering(receive(questions))
    while True:
        try:
            question = receive(questions)
        except EOFError:
            return
        send(answers, answering.answer(question))
