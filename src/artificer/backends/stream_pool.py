"""Computing several batches side by side, one compute thread each, in order, reading only a few ahead."""

import logging
import threading
from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from artificer.backends.session import Inputs, Output
from artificer.errors import ClosedError
from artificer.host.memory import available_memory
from artificer.manifest import Tuning

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

logger = logging.getLogger("artificer")
Run = Callable[[Inputs], Output]
Identities = list[tuple[str, int, int, int, int]]
"""Of files: name, inode, size, times of change."""

COPY_BYTES = 2
"""Memory that opening a graph once more takes, in bytes of its files: the weights as read, and as the runtime packs
them."""
MEMORY_SHARE = 0.25
"""The most that the copy may take of the memory that is available then: a service has other uses for it."""


def files_of(graph: Path, sidecars: Iterable[str]) -> tuple[Path, ...]:
    """The graph, and the files beside it that there are; `sidecars` are those of its backend (`Backend.sidecars`)."""
    return tuple(path for path in (graph, *(graph.parent / name for name in sidecars)) if path.is_file())


def stream_count(threads: int, tuning: Tuning) -> int:
    """How many batches to compute side by side: as tuned, else one for each thread. 1 means no streams."""
    return threads if tuning.streams is None else min(tuning.streams, threads)


def fits(files: Iterable[Path], available: float) -> bool:
    """Whether a copy of a graph, the files beside it included, fits into the memory that is available."""
    return COPY_BYTES * sum(path.stat().st_size for path in files) <= MEMORY_SHARE * available


class StreamPool:
    """A thread for each stream, started when first needed, that all callers of a session share.

    `opened` opens the graph for `count` calls at once; that too is done when first needed, once. The files were
    verified when the session opened them: if they have changed since, cannot be opened again, or their copy does not
    fit into memory, there are no streams.
    """

    def __init__(self, count: int, files: tuple[Path, ...], opened: Callable[[], Run], verified: Identities):
        self.count = count
        self._files = files
        self._verified = verified
        self._opened = opened
        self._lock = threading.Lock()
        self._started: tuple[ThreadPoolExecutor, Run] | None = None
        self._usable = True
        self._closed = False

    @classmethod
    def over(cls, files: tuple[Path, ...], count: int, opened: Callable[[], Run]) -> "StreamPool | None":
        """A pool for a graph whose files, itself the first, were just verified; None where one stream is all."""
        return cls(count, files, opened, _identities(files)) if count > 1 else None

    def start(self) -> bool:
        """Open what streams need, unless that is done. False: there are none, use the session itself.

        Raises:
            ClosedError: after `close`.
        """
        with self._lock:
            if self._closed:
                raise ClosedError("The session is closed.")
            if self._started is None and self._usable:
                self._usable = self._open()
            return self._usable

    def run(self, batch: Inputs) -> Output:
        """The output for one batch, computed in a stream. `start` must have said that there are streams."""
        return self._submit(batch).result()

    def map(self, batches: Iterable[Inputs]) -> Iterator[Output]:
        """The output of each batch, in order. When the caller stops early, batches not begun are not computed."""
        ahead: deque[Future[Output]] = deque()
        try:
            for batch in batches:
                ahead.append(self._submit(batch))
                if len(ahead) > self.count:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()

    def close(self) -> None:
        """End the threads once what was begun is done; later calls raise ClosedError."""
        with self._lock:
            started, self._started, self._closed = self._started, None, True
        if started is not None:
            started[0].shutdown(wait=False)

    def _submit(self, batch: Inputs) -> "Future[Output]":
        with self._lock:
            if self._started is None:
                raise ClosedError("The session is closed.")
            pool, run = self._started
            return pool.submit(run, batch)

    def _open(self) -> bool:
        from concurrent.futures import ThreadPoolExecutor  # here: the first score needs no streams

        try:
            if not fits(filter(Path.is_file, self._files), available_memory()):
                logger.info("%s is not opened again for batches side by side: too little memory", self._files[0].name)
                return False
            if _identities(self._files) == self._verified:
                run = self._opened()
                if _identities(self._files) == self._verified:
                    self._started = (ThreadPoolExecutor(self.count, thread_name_prefix="artificer-stream"), run)
                    return True
            reason = "its files have changed since they were verified"
        except Exception as error:  # a runtime may raise anything of its own
            reason = str(error)
        logger.warning("%s cannot be opened again for batches side by side: %s", self._files[0].name, reason)
        return False


class PooledSession:
    """`run`, `run_many` and `close` of a session that may have streams.

    One batch at a time has all threads. Many batches go to streams, and so does a batch that finds another one running:
    two callers on one pool of threads would be slower than one after the other. Without streams callers take turns.
    """

    def __init__(self, streams: StreamPool | None, tuning: Tuning):
        self.tuning = tuning
        self._streams = streams
        self._turn = threading.Lock()
        self._closed = False

    @abstractmethod
    def _compute(self, inputs: Inputs) -> Output:
        """The output for one batch on all threads; called by one thread at a time."""

    @abstractmethod
    def _release(self) -> None:
        """Give the runtime's memory back."""

    def parallelism(self) -> int:
        """How many batches `run_many` computes side by side; opens what that needs."""
        return self._streams.count if self._streams is not None and self._streams.start() else 1

    def run(self, inputs: Inputs) -> Output:
        """The output for one batch."""
        if not self._turn.acquire(blocking=False):
            if self._streams is not None and self._streams.start():
                return self._streams.run(inputs)
            self._turn.acquire()
        try:
            if self._closed:
                raise ClosedError("The session is closed.")
            return self._compute(inputs)
        finally:
            self._turn.release()

    def run_many(self, batches: Iterable[Inputs]) -> Iterator[Output]:
        """The output of each batch, in order."""
        if self._streams is not None and self._streams.start():
            return self._streams.map(batches)
        return map(self.run, batches)

    def close(self) -> None:
        """Give the runtime's memory back, once running batches are done."""
        if self._streams is not None:
            self._streams.close()
        with self._turn:
            self._closed = True
            self._release()


def _identities(files: Iterable[Path]) -> Identities:
    found = []
    for path in filter(Path.is_file, files):
        status = path.stat()
        found.append((path.name, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns))
    return found
