"""The processes of one group of subjects, and the questions to them."""

import contextlib
import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from stages.benchmarking.subjects import TimedSubject
from stages.benchmarking.worker import Opened, serve
from stages.core import paths
from stages.core.errors import ToolchainError
from stages.records.benchmarks import BASELINE
from stages.records.model_spec import ModelSpec
from stages.records.pairs import Texts


@dataclass(slots=True)
class Worker:
    """A subject's process. One that fails reports why once, and is left out from then on."""

    subject: TimedSubject
    process: Any
    connection: Connection
    opened: Opened | None = None
    failed: bool = False
    peak_memory_bytes: int = 0

    def ask(self, batches: list[Texts]) -> list[float] | None:
        """Seconds for each batch; None from a process that failed."""
        if self.failed:
            return None
        self._send(batches)
        answer = self.receive()
        return answer if isinstance(answer, list) else None

    def leave_out(self, why: str) -> None:
        """Print why, end the process, and leave it out from now on."""
        self.failed = True
        print(f"{self.subject.label:24} left out: {why}", flush=True)
        self.process.terminate()

    def finish(self) -> bool:
        """Close the process; whether it has run to the end."""
        if not self.failed:
            self._send(None)
            self.peak_memory_bytes = self.receive() or 0
        return not self.failed

    def receive(self) -> Any:
        """The next answer. Raises ToolchainError when the baseline fails, since every ratio is to it."""
        try:
            answer = self.connection.recv()
        except (EOFError, OSError):
            answer = "its process was killed, probably for lack of memory"
        if isinstance(answer, str):
            self.leave_out(answer)
            if self.subject.label == BASELINE:
                raise ToolchainError(f"{BASELINE} cannot be measured, and every ratio needs it: {answer}")
        return answer

    def _send(self, message: list[Texts] | None) -> None:
        with contextlib.suppress(OSError):  # `receive` reports a process that has ended
            self.connection.send(message)


@contextmanager
def workers(group: list[TimedSubject], spec: ModelSpec, threads: int) -> Iterator[list[Worker]]:
    """A process for each subject, opened one after the other; all are ended with the block."""
    context = multiprocessing.get_context("spawn")
    processes: list[Any] = []
    found: list[Worker] = []
    try:
        for subject in group:
            ours, theirs = context.Pipe()
            arguments = (theirs, subject, spec, paths.source(spec.slug), threads)
            process = context.Process(target=serve, args=arguments, daemon=True)
            process.start()
            processes.append(process)
            theirs.close()
            worker = Worker(subject, process, ours)
            answer = worker.receive()
            worker.opened = answer if isinstance(answer, Opened) else None
            found.append(worker)
        yield found
    finally:
        for process in processes:
            process.terminate()
            process.join()
