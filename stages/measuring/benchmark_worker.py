"""One subject of a benchmark in a process of its own, so that its memory and its load time are its own."""

import contextlib
import resource
import signal
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol

from msgspec import Struct

from artificer.manifest import Device, ExecutionPrecision, Runtime, on_device
from stages.core.errors import first_line
from stages.records.model_spec import ModelSpec
from stages.tasks import BUILDING_TASKS

Pairs = list[tuple[str, str]]


class TimedSubject(Struct, frozen=True, kw_only=True):
    """What to time: a variant's graph, or the torch reference in some dtype (then `runtime` is None), on a device.

    `alias_of` is the id of a subject whose figures are this one's as well.
    """

    id: str
    digest: str | None
    runtime: Runtime | None
    path: Path
    inputs: tuple[str, ...]
    execution_precision: ExecutionPrecision
    size_bytes: int
    device: Device = "cpu"
    alias_of: str | None = None

    @property
    def timed_as(self) -> str:
        """The label of the subject that is timed: its own, or its alias's."""
        return on_device(self.alias_of or self.id, self.device)

    @property
    def label(self) -> str:
        """The id, and the device where that is not the CPU."""
        return on_device(self.id, self.device)


class Opened(Struct, frozen=True):
    """The worker's answer to opening."""

    load_seconds: float
    execution_precision: ExecutionPrecision


class Scorer(Protocol):
    """Scores one batch of pairs, texts in, logits out."""

    def __call__(self, pairs: Pairs) -> Any:
        """Logits [pairs, labels]."""


def serve(connection: Connection, subject: TimedSubject, spec: ModelSpec, source: Path, threads: int) -> None:
    """The process's main: open, then answer batches of pairs with seconds per batch, and None with peak memory."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the stage is who speaks
    try:
        started = time.perf_counter()
        scorer, precision = _open(subject, spec, source, threads)
        connection.send(Opened(time.perf_counter() - started, precision))
        while (batches := connection.recv()) is not None:
            seconds = []
            for batch in batches:
                started = time.perf_counter()
                scorer(batch)
                seconds.append(time.perf_counter() - started)
            connection.send(seconds)
        connection.send(peak_memory_bytes())
    except (EOFError, ConnectionError):
        return  # the parent was killed, and nobody listens
    except Exception as error:
        # Sent to the parent, which records it: one subject that cannot run must not end the benchmark.
        with contextlib.suppress(ConnectionError):
            connection.send(first_line(error))


def peak_memory_bytes() -> int:
    """The process's peak resident set. Linux keeps it per program image; getrusage may count the parent's."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _open(subject: TimedSubject, spec: ModelSpec, source: Path, threads: int) -> tuple[Scorer, ExecutionPrecision]:
    if subject.runtime is None:
        return _torch_scorer(subject, spec, source, threads), subject.execution_precision
    from artificer.backends import open_session
    from artificer.inference import scoring
    from artificer.inference.tokenization import PairTokenizer

    precision = subject.execution_precision
    session = open_session(
        subject.runtime, subject.path, threads=threads, execution_precision=precision, device=subject.device
    )
    tokenizer = PairTokenizer(
        source / spec.tokenizer.file, spec.tokenizer, max_length=spec.max_length, inputs=subject.inputs
    )
    return lambda pairs: scoring.logits(session, tokenizer, pairs, batch_size=len(pairs)), session.execution_precision


def _torch_scorer(subject: TimedSubject, spec: ModelSpec, source: Path, threads: int) -> Scorer:
    import torch

    from stages.building import torch_model

    torch.set_num_threads(threads)
    dtype = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}[subject.execution_precision]
    model = torch_model.load_model(source, BUILDING_TASKS[spec.task].model_class, dtype).to(subject.device)
    tokenizer = torch_model.load_tokenizer(source)
    return lambda pairs: torch_model.torch_logits(model, tokenizer, pairs, spec.max_length, len(pairs))
