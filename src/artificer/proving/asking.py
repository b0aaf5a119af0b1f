"""Asking executions in a process of their own, which may crash or hang."""

import os
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO

from artificer.proving.answering import Answer, Package, Question, receive, send

_COMMAND = "from artificer.proving.answering import main; main()"
_LEAST_TIMEOUT = 120.0  # seconds: a large model on a busy machine opens slowly


class Process:
    """Answers questions about one package. It is started at the first question, and again after it died."""

    def __init__(self, package: Package):
        self._package = package
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] | None = None
        self._kept: Question | None = None

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.end()

    def ask(self, question: Question, timeout: float = 0.0) -> Answer:
        """The answer; an answer with an error where the process died, or did not answer within `timeout` seconds."""
        if self._process is None:
            self._start()
            if self._kept is not None and not question.is_baseline:
                self._asked(self._kept, _LEAST_TIMEOUT)
        found = self._asked(question, max(timeout, _LEAST_TIMEOUT))
        if question.is_baseline and found.error is None:
            self._kept = Question(
                variant=question.variant, precision=question.precision, device=question.device,
                settings=question.settings, pairs=0, lengths=(), timing=0, is_baseline=True,
            )  # fmt: skip
        return found

    def end(self) -> None:
        """Kill the process; the next question starts another."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout, self._errors):
                if stream is not None:
                    with suppress(OSError):
                        stream.close()

    def _start(self) -> None:
        paths = [str(Path(__file__).parents[2]), *(each for each in sys.path if each)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONSAFEPATH": "1"}
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # `end` closes it
        self._process = subprocess.Popen(
            [sys.executable, "-c", _COMMAND],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )
        assert self._process.stdin is not None
        with suppress(OSError):  # a process that has ended at once is reported by the first question
            send(self._process.stdin, self._package)

    def _asked(self, question: Question, timeout: float) -> Answer:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        killed = threading.Event()

        def kill() -> None:
            killed.set()
            process.kill()

        timer = threading.Timer(timeout, kill)
        timer.start()
        try:
            send(process.stdin, question)
            found = receive(process.stdout)
            assert isinstance(found, Answer)
            return found
        except (EOFError, OSError):
            code = process.wait()
            said = f"no answer within {timeout:.0f} s" if killed.is_set() else _how(code)
            last = self._last_line()
            self.end()
            return Answer(error=f"{said}{': ' + last if last else ''}")
        finally:
            timer.cancel()

    def _last_line(self) -> str:
        if self._errors is None:
            return ""
        self._errors.seek(0)
        lines = self._errors.read()[-4096:].decode("utf-8", "replace").strip().splitlines()
        return lines[-1][:300] if lines else ""


def _how(code: int) -> str:
    """The way that a process ended."""
    if code < 0:
        return f"its process was killed (signal {-code})" + (", probably for lack of memory" if code == -9 else "")
    return f"its process ended with exit code {code}"
