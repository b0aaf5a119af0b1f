"""A step of the toolchain in a process of its own: its memory goes back to the system, and what a library counts per
process (OpenVINO numbers the nodes of a graph) starts from zero."""

import multiprocessing
import os
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from typing import Any, ParamSpec, TypeVar

from stages import environment

P = ParamSpec("P")
T = TypeVar("T")

def call(function: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
    """`function(*arguments, **options)` in a new process; it, its arguments and its result must be picklable.

    What it raises is raised here. RuntimeError when the process was killed.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_serve, args=(theirs, function, arguments, options))
    process.start()
    theirs.close()
    try:
        ok, answer = ours.recv()
    except EOFError:
        ok, answer = False, RuntimeError("its process was killed, which is what a system short of memory does")
    finally:
        process.join()
        ours.close()
    if not ok:
        raise answer
    found: T = answer
    return found


def _serve(
    connection: Connection, function: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any]
) -> None:
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    environment.prepare(online=False)
    try:
        answer = (True, function(*arguments, **options))
    except Exception as error:  # it is raised again where it was asked for
        answer = (False, error)
    try:
        connection.send(answer)
    except Exception:  # an error that cannot be pickled
        connection.send((False, RuntimeError(f"{type(answer[1]).__name__}: {answer[1]}")))


def _end_with_the_parent() -> None:
    """A parent that is killed must not leave a process that writes into its folders."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
