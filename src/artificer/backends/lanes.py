"""Computing several batches side by side, in order, reading only a few ahead."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from artificer.backends import Inputs

Run = Callable[[Inputs], NDArray[np.float32]]


class Lanes:
    """A few threads, started when first needed, that all callers of a session share."""

    def __init__(self, count: int):
        self.count = count
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None

    def map(self, run: Run, batches: Iterable[Inputs]) -> Iterator[NDArray[np.float32]]:
        """`run` of each batch, in order. When the caller stops early, what was not begun never is."""
        ahead: deque[Future[NDArray[np.float32]]] = deque()
        pool = self._started()
        try:
            for batch in batches:
                ahead.append(pool.submit(run, batch))
                if len(ahead) > self.count:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()

    def close(self) -> None:
        """End the threads once they are idle."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)

    def _started(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self.count, thread_name_prefix="artificer-lane")
            return self._pool
