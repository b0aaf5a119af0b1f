"""Opening a session beside other work: a runtime opens a graph without Python's lock."""

import threading
from collections.abc import Callable
from typing import TypeVar

from artificer.backends.session import Session

T = TypeVar("T")


def open_beside(opened: Callable[[], Session], work: Callable[[], T]) -> tuple[Session, T]:
    """The session that `opened` returns, which is called in a thread of its own, and the result of `work`.

    Raises what either raises, `work` first; the session is closed then.
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
    except BaseException:
        thread.join()
        for session in sessions:
            session.close()
        raise
    thread.join()
    if errors:
        raise errors[0]
    return sessions[0], found
