"""The graph that scores exactly, beside the fast one: opened when it is first needed, and once."""

import threading
from collections.abc import Callable

from msgspec import Struct

from artificer.backends.session import Session
from artificer.errors import ClosedError
from artificer.inference.refining import ErrorBound


class ExactGraph(Struct, frozen=True, kw_only=True):
    """An open session that returns the reference's scores to float32 rounding. `bound` is how far the fast execution's
    outputs are from its own at most, as the parity records of both say; `label` names the execution."""

    session: Session
    label: str
    bound: ErrorBound


class SecondGraph:
    """Opens it at the first `get`. Safe to share between threads; it belongs to the model that closes it.

    Args:
        open_graph: verifies, opens and tests the graph; what it raises is raised by `get`, and tried again next time.
    """

    def __init__(self, open_graph: Callable[[], ExactGraph]):
        self._open_graph = open_graph
        self._lock = threading.Lock()
        self._graph: ExactGraph | None = None
        self._closed = False

    def get(self) -> ExactGraph:
        """The graph. Raises ClosedError after `close`."""
        with self._lock:
            if self._closed:
                raise ClosedError("This model was closed.")
            if self._graph is None:
                self._graph = self._open_graph()
            return self._graph

    def close(self) -> None:
        """Give its memory back. Calling it twice is fine."""
        with self._lock:
            graph, self._graph, self._closed = self._graph, None, True
        if graph is not None:
            graph.session.close()
