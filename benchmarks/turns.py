"""Sides of a benchmark that take turns, each in a process of its own, so that no side's threads slow another's."""

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Self

PAUSE = 0.1  # seconds between two turns: the other side's workers have gone to sleep by then
READY = "ready"


class SideEndedError(RuntimeError):
    """The process ended without an answer."""


class Side:
    """A process that answers JSON lines on its standard input with JSON lines on its standard output."""

    def __init__(self, command: Sequence[str]) -> None:
        """Start it and wait until it is ready; SideEndedError if it ends before."""
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        while self._line().strip() != READY:
            if self._process.poll() is not None:
                raise SideEndedError(f"{' '.join(command)} did not start")

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def ask(self, request: Any) -> Any:
        """What the process answers. Raises SideEndedError."""
        assert self._process.stdin is not None
        time.sleep(PAUSE)
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        while not (line := self._line()).startswith(("[", "{")):  # libraries print as well
            if not line:
                raise SideEndedError(f"it ended with {self._process.wait()}")
        return json.loads(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()


def serve(answer: Callable[[Any], Any]) -> None:
    """Be a side: answer every line of standard input."""
    print(READY, flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)


def timed_calls(predict: Callable[[Any], Any], calls: Iterable[Any]) -> tuple[list[float], list[list[float]]]:
    """Seconds of each call, and the scores that it returned."""
    seconds, scores = [], []
    for call in calls:
        start = time.perf_counter()
        found = predict(call)
        seconds.append(time.perf_counter() - start)
        scores.append([float(value) for value in found])
    return seconds, scores
