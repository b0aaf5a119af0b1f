"""A process that watches another and all its children, and prints the most resident memory that they had at once.

A script of its own: a thread of the watched process would stand still while C code holds Python's lock, which is when
memory peaks. It stops when its standard input is closed, so it cannot outlive who started it.
"""

import contextlib
import select
import signal
import sys
import time

import psutil

SHORTEST_WAIT_SECONDS = 0.05
SHARE_OF_A_CORE = 0.01  # looking takes a few milliseconds; it must not show in a benchmark


def resident_bytes(root: psutil.Process, without: int) -> int:
    """The resident sets of a process and its children, summed; what they share is counted for each."""
    total = 0
    for process in (root, *root.children(recursive=True)):
        with contextlib.suppress(psutil.Error):  # it has just ended
            total += process.memory_info().rss if process.pid != without else 0
    return total


def main(pid: int) -> None:
    """Sample until standard input ends, then print the peak in bytes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends it to all processes; the stage reports it
    own, peak, wait = psutil.Process().pid, 0, SHORTEST_WAIT_SECONDS
    try:
        root = psutil.Process(pid)
    except psutil.NoSuchProcess:
        return
    while not select.select([sys.stdin], [], [], wait)[0]:
        started = time.perf_counter()
        with contextlib.suppress(psutil.Error):
            peak = max(peak, resident_bytes(root, own))
        wait = max(SHORTEST_WAIT_SECONDS, (time.perf_counter() - started) / SHARE_OF_A_CORE)
    with contextlib.suppress(OSError):  # who asked may have been killed
        print(peak, flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
