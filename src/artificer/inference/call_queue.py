"""The way from asyncio to the compute threads: bounded, and cancelled when its caller is."""

import threading
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any

from artificer.errors import ClosedError, DeadlineError, OverloadedError

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

WORKERS = 2
"""One computes while the other tokenizes; more would only wait for the cores."""


class CallQueue:
    """Runs blocking calls on a few threads of its own, and refuses the call after `max_pending` waiting ones."""

    def __init__(self, max_pending: int):
        self._max_pending = max_pending
        self._pending = 0
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._closed = False

    async def call(self, function: Callable[..., Any], *arguments: Any, timeout: float | None, **named: Any) -> Any:
        """Await `function(*arguments, timeout=what is left, cancelled=..., **named)`.

        Raises:
            OverloadedError: too many calls are waiting or running.
            DeadlineError: `timeout` seconds passed, in the queue or while computing.
        """
        import asyncio  # here: 30 ms that a synchronous program need not spend at its start

        deadline = None if timeout is None else monotonic() + timeout
        pool = self._enter()
        gone = threading.Event()

        def work() -> Any:
            try:
                left = None if deadline is None else deadline - monotonic()
                if gone.is_set() or (left is not None and left <= 0):
                    raise DeadlineError("The timeout passed while the call waited for its turn.")
                return function(*arguments, timeout=left, cancelled=gone.is_set, **named)
            finally:
                self._leave()

        try:
            future = pool.submit(work)
        except BaseException:
            self._leave()
            raise
        # A future that is cancelled before it started never runs `work`.
        future.add_done_callback(lambda done: self._leave() if done.cancelled() else None)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            gone.set()
            task = asyncio.current_task()
            if self._closed and not (task and task.cancelling()):
                raise ClosedError("This model was closed while the call waited for its turn.") from None
            raise

    def close(self) -> None:
        """Refuse new calls; running ones end by themselves."""
        with self._lock:
            self._closed = True
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)

    @property
    def pending(self) -> int:
        """Calls that wait or run."""
        return self._pending

    def _enter(self) -> "ThreadPoolExecutor":
        from concurrent.futures import ThreadPoolExecutor  # here, as above

        with self._lock:
            if self._closed:
                raise ClosedError("This model was closed.")
            if self._pending >= self._max_pending:
                raise OverloadedError(f"{self._pending} calls are waiting, the most that was allowed.")
            self._pending += 1
            if self._pool is None:
                self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="artificer")
            return self._pool

    def _leave(self) -> None:
        with self._lock:
            self._pending -= 1
