"""A stage ends with the `dvc repro` that runs it: left alone, it would write beside the next one.

DVC does not end a stage when it is killed itself. The stage notices within moments, or, while C code keeps Python from
running, when that returns; its own children end with it (stages/core/child_process.py,
stages/benchmarking/worker.py).
"""

import os
import sys
import threading
import time

import psutil

SET_BY_DVC = "DVC_STAGE"
# They stand between DVC and the stage where they do not replace themselves by it.
SHELLS = ("bash", "dash", "fish", "ksh", "sh", "zsh")
SECONDS = 0.2


def end_with_dvc() -> None:
    """Watch DVC from now on, if it is what runs this process; a stage started by hand outlives its terminal."""
    if not os.environ.get(SET_BY_DVC):
        return
    try:
        runner = psutil.Process().parent()
        while runner is not None and runner.name() in SHELLS:
            runner = runner.parent()
    except psutil.Error:  # processes may be hidden from us, and a stage runs without a watch as well
        return
    if runner is not None:
        threading.Thread(target=_end_with, args=(runner,), daemon=True).start()


def _end_with(runner: psutil.Process) -> None:
    while not _is_gone(runner):
        time.sleep(SECONDS)
    print("the `dvc repro` that ran this stage was killed, so the stage ends", file=sys.stderr, flush=True)
    os._exit(1)


def _is_gone(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
    except (psutil.Error, OSError):  # it cannot be looked at just now
        return False
