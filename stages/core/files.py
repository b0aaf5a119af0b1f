"""Write files and folders so that a reader, or a rerun after a kill, sees the old ones or the new ones, whole."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from artificer.manifest import FileEntry, describe_file


def write_file(path: Path, data: bytes) -> None:
    """Replace `path` with `data` at once: a temporary beside it, flushed to disk, then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.partial")  # fixed, so that a rerun replaces what a kill left
    try:
        with temporary.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def staged_folder(path: Path) -> Iterator[Path]:
    """A new empty folder beside `path` that takes its place when the block ends well, and is removed when it does not.

    What a killed run left beside it is removed first. The name is fixed, so that no path in an artifact varies.
    """
    with _temporary_folder(path.with_name(f".{path.name}.partial")) as temporary:
        yield temporary
        shutil.rmtree(path, ignore_errors=True)
        temporary.rename(path)


@contextmanager
def work_folder(beside: Path) -> Iterator[Path]:
    """An empty folder beside `beside`, removed after the block. What a killed run left there is removed first."""
    with _temporary_folder(beside.with_name(f".{beside.name}.work.partial")) as folder:
        yield folder


@contextmanager
def _temporary_folder(folder: Path) -> Iterator[Path]:
    """The folder, new and empty, and removed after the block unless it was renamed."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def describe_folder(folder: Path) -> tuple[FileEntry, ...]:
    """Every file below `folder`, sorted by path."""
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    return tuple(describe_file(folder, name) for name in names)
