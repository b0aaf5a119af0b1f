"""Put a new folder into the place of an old one in a single step, where the system has one."""

import ctypes
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2  # renameat2(2)


@contextmanager
def exchange(target: Path) -> Iterator[Path]:
    """A new empty folder beside `target` that takes its place when the block ends well.

    With Linux's renameat2 the exchange is atomic: a reader sees the old folder or the new one. Elsewhere the old one is
    set aside for a moment, and put back by the next call if the process is killed in between.
    """
    fresh = target.with_name(f".{target.name}.new")
    aside = target.with_name(f".{target.name}.old")
    if aside.exists() and not target.exists():
        aside.rename(target)
    for left_over in (fresh, aside):
        shutil.rmtree(left_over, ignore_errors=True)
    fresh.mkdir(parents=True)
    try:
        yield fresh
        _sync(fresh)
        if not target.exists():
            fresh.rename(target)
        elif not _exchange_atomically(fresh, target):
            target.rename(aside)
            fresh.rename(target)
    finally:
        # After an exchange, `fresh` holds the old folder.
        for left_over in (fresh, aside) if target.exists() else (fresh,):
            shutil.rmtree(left_over, ignore_errors=True)


def _exchange_atomically(one: Path, other: Path) -> bool:
    if not sys.platform.startswith("linux"):
        return False
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    return renameat2 is not None and (
        renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0
    )


def _sync(folder: Path) -> None:
    """Flush every file, so that the name never refers to missing files after a power failure."""
    for path in folder.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
