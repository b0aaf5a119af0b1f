"""Opening a session during other work: a runtime does not hold Python's lock while it opens a graph."""

import threading
from collections.abc import Callable
from typing import TypeVar

from artificer.backends.session import Session

T = TypeVar("T")


def open_beside(opened: Callable[[], Session], work: Callable[[], T]) -> tuple[Session, T]:
    """Call `opened` in a thread of its own and `work` in this one; return the session and the result of `work`.

    Raises what either raises; if both do, what `work` raises. If `work` raises, the session is closed.
    """
    sessions: list[Session] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            sessions.append(opened())
        except BaseException as error:  # raised below, in the caller's thread
            errors.append(error)

    thread = threading.Thread(target=run, name="artificer-open", daemon=True)
    thread.start()
    try:
        found = work()
        thread.join()
        if errors:
            raise errors.pop()  # not kept: it would keep what a graph that cannot be opened holds
    except BaseException:
        thread.join()
        for session in sessions:
            session.close()
        raise
    return sessions[0], found
