"""Run a function in a process of its own, so that all its memory is given back, and a crash of C code is one failure.

Allocators keep what a library has freed; only the end of a process returns it for sure. Importing the toolchain again
costs seconds, which a small model does not pay. A child may have children of its own.
"""

import multiprocessing
import multiprocessing.forkserver
import os
import pickle
import sys
import threading
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, TypeVar

from stages.core import environment

SMALL_BYTES = 256 * 10**6
ENDING_SECONDS = 0.5
ALWAYS = "ARTIFICER_CHILDREN"  # set to run every variant in a child: for tests

T = TypeVar("T")

_imported: tuple[str, ...] = ()


class ChildKilledError(RuntimeError):
    """The process ended without an answer."""


def import_for_children(modules: Sequence[str]) -> None:
    """Start a process that imports `modules`; child processes are then forked from it. Call this once. Does nothing
    except on Linux: system libraries of macOS cannot be used in a forked process, and Windows has no fork."""
    if sys.platform == "linux":
        _fork_with(tuple(modules))
        multiprocessing.forkserver.ensure_running()


def _fork_with(imported: tuple[str, ...]) -> None:
    global _imported
    _imported = imported
    multiprocessing.get_context("forkserver").set_forkserver_preload(["stages.core.prepared", *imported])


def in_child(function: Callable[..., T], *arguments: Any, weights: Path | None) -> T:
    """`function(*arguments)`, in a child process if the files in the folder of `weights` are larger than SMALL_BYTES or
    `weights` is None.

    The function must be defined at the top of a module; its arguments and its result must be picklable. An exception in
    the child is raised here.

    Raises:
        ChildKilledError: the child was killed, probably for lack of memory.
    """
    if weights is not None and not os.environ.get(ALWAYS):
        size = sum(path.stat().st_size for path in weights.parent.iterdir() if path.is_file())
        if size < SMALL_BYTES:
            return function(*arguments)
    context: Any = multiprocessing.get_context("forkserver" if _imported else "spawn")
    ours, theirs = context.Pipe(duplex=False)
    # Not a daemon, which could have no children; it ends with this block, and with its parent.
    process = context.Process(target=_serve, args=(theirs, _imported, function, arguments))
    process.start()
    theirs.close()
    try:
        found, error = ours.recv()
        process.join(ENDING_SECONDS)  # it removes its semaphores; else Python warns about them when the stage ends
    except (EOFError, OSError):
        process.join()
        raise ChildKilledError(f"its process was killed ({_how(process.exitcode)})") from None
    finally:
        ours.close()
        process.terminate()
        process.join()
    if error is not None:
        raise error
    return found  # type: ignore[no-any-return]


def _serve(
    connection: Connection, imported: tuple[str, ...], function: Callable[..., Any], arguments: tuple[Any, ...]
) -> None:
    if imported:
        _fork_with(imported)  # its own children
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    environment.prepare(online=False)
    try:
        answer: tuple[Any, Exception | None] = (function(*arguments), None)
    except Exception as error:
        # The parent records it; what does not survive pickling goes as its text.
        try:
            pickle.loads(pickle.dumps(error))
            answer = (None, error)
        except Exception:
            answer = (None, RuntimeError(f"{type(error).__name__}: {error}"))
    connection.send(answer)


def _end_with_the_parent() -> None:
    """A parent that is killed must not leave a process that writes into its folders."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


def _how(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        return f"signal {-exit_code}" + (", probably for lack of memory" if exit_code == -9 else "")
    return f"exit code {exit_code}"
