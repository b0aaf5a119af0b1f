"""Computing several batches side by side, one compute thread each, in order, reading only a few ahead."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from artificer.backends import Inputs
from artificer.errors import ClosedError

Run = Callable[[Inputs], NDArray[np.float32]]

SMALL_GRAPH_BYTES = 64 << 20
"""Up to here a graph is opened a second time for lanes. Cores that each compute a batch of their own need not wait for
each other after every node, which is worth 8 to 10 % where the nodes are small, and nothing from about 90 MB on
(benchmarks/README.md); the second copy of the weights costs as much as the first."""


def pays(graph: Path, threads: int) -> bool:
    """Whether lanes are worth their memory: several threads, and a small graph (its weights beside it included)."""
    weights = (graph, graph.with_suffix(".bin"), graph.with_name(f"{graph.name}_data"))
    return threads > 1 and sum(path.stat().st_size for path in weights if path.is_file()) <= SMALL_GRAPH_BYTES


class Lanes:
    """As many threads as there are cores, started when first needed, that all callers of a session share.

    `opened` opens the graph for one compute thread per call; that too is done when first needed, once.
    """

    def __init__(self, count: int, opened: Callable[[], Run]):
        self.count = count
        self._opened = opened
        self._lock = threading.Lock()
        self._started: tuple[ThreadPoolExecutor, Run] | None = None
        self._closed = False

    def run(self, batch: Inputs) -> NDArray[np.float32]:
        """The logits of one batch, computed in a lane."""
        pool, run = self._start()
        return pool.submit(run, batch).result()

    def map(self, batches: Iterable[Inputs]) -> Iterator[NDArray[np.float32]]:
        """The logits of each batch, in order. When the caller stops early, what was not begun never is."""
        ahead: deque[Future[NDArray[np.float32]]] = deque()
        pool, run = self._start()
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
        """End the threads once they are idle; a later call raises ClosedError."""
        with self._lock:
            started, self._started, self._closed = self._started, None, True
        if started is not None:
            started[0].shutdown(wait=False, cancel_futures=True)

    def _start(self) -> tuple[ThreadPoolExecutor, Run]:
        with self._lock:
            if self._closed:
                raise ClosedError("The session is closed.")
            if self._started is None:
                self._started = (ThreadPoolExecutor(self.count, thread_name_prefix="artificer-lane"), self._opened())
            return self._started
