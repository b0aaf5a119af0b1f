"""Runs one subject of a benchmark in a process of its own, so that its memory and load time can be measured."""

import contextlib
import signal
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from msgspec import Struct

from artificer.manifest import UNTUNED, ExecutionPrecision
from stages.benchmarking.subjects import TimedSubject
from stages.core import environment
from stages.core.capacity import peak_memory_bytes
from stages.core.errors import first_line
from stages.records.model_spec import ModelSpec
from stages.records.pairs import Texts


class Opened(Struct, frozen=True):
    """The worker's answer to opening."""

    load_seconds: float
    execution_precision: ExecutionPrecision


class Scorer(Protocol):
    """Scores one batch of pairs, texts in, logits out."""

    def __call__(self, pairs: Texts) -> Any:
        """Logits [pairs, labels]."""


class OpenSubject(NamedTuple):
    """An open subject. `warm` computes what `load(objective="latency")` does before it returns."""

    scorer: Scorer
    execution_precision: ExecutionPrecision
    warm: Callable[[], None]


def serve(connection: Connection, subject: TimedSubject, spec: ModelSpec, source: Path, threads: int) -> None:
    """The process. It sends `Opened` after opening, the seconds of each batch for each list of batches that arrives,
    and the peak memory when None arrives. It warms up at the first message. If the subject fails, it sends the reason
    as text, and ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all processes; the stage reports it
    environment.prepare(online=False)
    try:
        started = time.perf_counter()
        opened = _open(subject, spec, source, threads)
        connection.send(Opened(time.perf_counter() - started, opened.execution_precision))
        batches = connection.recv()
        opened.warm()  # not before: until then, other processes are opened, and timed
        while batches is not None:
            seconds = []
            for batch in batches:
                started = time.perf_counter()
                opened.scorer(batch)
                seconds.append(time.perf_counter() - started)
            connection.send(seconds)
            batches = connection.recv()
        connection.send(peak_memory_bytes())
    except (EOFError, ConnectionError):
        return  # the parent was killed
    except Exception as error:
        # Sent to the parent, which records it: one subject that cannot run must not end the benchmark.
        with contextlib.suppress(ConnectionError):
            connection.send(first_line(error))


def _open(subject: TimedSubject, spec: ModelSpec, source: Path, threads: int) -> OpenSubject:
    if subject.runtime is None:
        return OpenSubject(_torch_scorer(subject, spec, source, threads), subject.execution_precision, lambda: None)
    from artificer.backends import open_with
    from artificer.backends.session import SessionOptions
    from artificer.inference import scoring, warming
    from artificer.tasks.task import TASKS
    from stages.records.open_tokenizer import open_tokenizer

    task = TASKS[spec.task]
    options = SessionOptions(
        threads=threads,
        execution_precision=subject.execution_precision,
        device=subject.device,
        settings=subject.settings,
        output=task.output,
        tuning=subject.tuning or UNTUNED,
    )
    session = open_with(subject.runtime, subject.path, options)
    tokenizer = open_tokenizer(spec, subject.inputs)

    def scorer(pairs: Texts) -> Any:
        return scoring.score_texts(session, tokenizer, pairs, collect=task.collect, batch_size=len(pairs))

    return OpenSubject(scorer, session.execution_precision, lambda: warming.warm_for_latency(session, tokenizer))


def _torch_scorer(subject: TimedSubject, spec: ModelSpec, source: Path, threads: int) -> Scorer:
    import torch

    from stages.building import torch_model

    torch.set_num_threads(threads)
    dtype = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}[subject.execution_precision]
    model = torch_model.load_model(source, spec.model_class, dtype).to(subject.device)
    tokenizer = torch_model.load_tokenizer(source)
    return lambda pairs: torch_model.torch_logits(model, tokenizer, pairs, spec.max_length, len(pairs))
