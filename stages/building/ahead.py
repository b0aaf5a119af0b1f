"""Calls in child processes that begin before their results are needed."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

from stages.core.child_process import ChildKilledError, in_child


class Ahead:
    """Runs up to `at_once` calls at a time, each in a child process; none if `at_once` is 1.

    A context manager: after an error in its block, calls that have not begun never do.
    """

    def __init__(self, at_once: int):
        self._pool = ThreadPoolExecutor(at_once) if at_once > 1 else None
        self._begun: dict[str, Future[Any]] = {}

    def begin(self, key: str, function: Callable[..., Any], *arguments: Any) -> None:
        """Begin `function(*arguments)`, which must be picklable, if calls are made ahead at all."""
        if self._pool is not None:
            self._begun[key] = self._pool.submit(in_child, function, *arguments, weights=None)

    def result(self, key: str, alone: Callable[[], Any]) -> Any:
        """What the call returned or raised; `alone()`, with no call beside it, if it was not begun or was killed."""
        if key in self._begun:
            try:
                return self._begun[key].result()
            except ChildKilledError:
                pass  # perhaps others had the memory
        wait(self._begun.values())
        return alone()

    def __enter__(self) -> "Ahead":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=kind is not None)
