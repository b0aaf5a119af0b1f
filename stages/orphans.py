"""A stage ends with the `dvc repro` that runs it: left alone, it would write beside the next one.

DVC does not end a stage when it is killed itself. A stage's own children end with the stage (stages/child.py).
"""

import os
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
    runner = next((parent for parent in psutil.Process().parents() if parent.name() not in SHELLS), None)
    if runner is not None:
        threading.Thread(target=_end_with, args=(runner,), daemon=True).start()


def _end_with(runner: psutil.Process) -> None:
    while runner.is_running() and runner.status() != psutil.STATUS_ZOMBIE:
        time.sleep(SECONDS)
    os._exit(1)
