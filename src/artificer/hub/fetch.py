"""Fetching a manifest's files into a folder: to a temporary place, hashed on the way, then moved.

At every moment each file of the folder is complete and correct, or absent: a process that is killed leaves a temporary
file, which the next one removes. Processes that fetch into one folder take turns by a lock that dies with its holder.
"""

import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, Protocol

from artificer.errors import FetchError, IntegrityError
from artificer.loading.integrity import verify_files
from artificer.manifest import FileEntry, unsafe_path_reason
from artificer.storage.cache_folder import CACHE_VARIABLE

_CHUNK = 1 << 20
_SCRATCH = ".incoming"
_LOCK = ".lock"


class Source(Protocol):
    """Where files come from, at one pinned revision: a folder, a Hub repo at a commit."""

    def open(self, path: str) -> AbstractContextManager[IO[bytes]]:
        """The bytes of `path`. Raises FetchError, which says whether trying again may help."""
        ...


class FolderSource:
    """A published folder, for instance on a shared drive, to copy from."""

    def __init__(self, root: Path):
        self._root = root

    def open(self, path: str) -> AbstractContextManager[IO[bytes]]:
        """The bytes of `root / path`."""
        try:
            return (self._root / path).open("rb")
        except OSError as error:
            raise FetchError(f"{path} cannot be read from {self._root}: {error.strerror}.") from None


def fetch_files(
    source: Source, root: Path, entries: Iterable[FileEntry], *, manifest_sha256: str, verification_cache: Path | None
) -> list[str]:
    """Fetch every entry that is missing below `root` or is not as the manifest says; return their paths.

    Files that are correct are left alone.

    Raises:
        IntegrityError: the source's file is not what the manifest says; the copy is deleted, and named. Or a file that
            is there is wrong, and cannot be fetched again.
        FetchError: a file is missing, and the source failed, or the disk did.
    """
    wanted = list(entries)
    for entry in wanted:
        if (reason := unsafe_path_reason(entry.path)) is not None:
            raise IntegrityError(f"{entry.path!r}: refused: {reason}.")
    if not is_writable(root) and all(_is_right(root, entry, manifest_sha256, verification_cache) for entry in wanted):
        return []
    fetched: list[str] = []
    try:
        with locked(root):
            shutil.rmtree(root / _SCRATCH, ignore_errors=True)
            for entry in wanted:
                if not _is_right(root, entry, manifest_sha256, verification_cache):
                    _fetch_one(source, root, entry)
                    fetched.append(entry.path)
            shutil.rmtree(root / _SCRATCH, ignore_errors=True)
    except FetchError as error:
        present = [entry for entry in wanted if os.path.lexists(root / entry.path)]
        try:
            verify_files(root, present, manifest_sha256=manifest_sha256, verification_cache=verification_cache)
        except IntegrityError as damage:
            raise IntegrityError(f"{damage} They could not be fetched again: {error}") from error
        raise
    return fetched


def is_writable(root: Path) -> bool:
    """Whether files can be added to a folder, or it can be made."""
    return os.access(root, os.W_OK | os.X_OK) or not root.is_dir()


@contextmanager
def locked(root: Path) -> Iterator[None]:
    """Hold `root`'s lock, waiting for it; other processes and threads wait meanwhile.

    Raises:
        FetchError: there is no place to write.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        lock = (root / _LOCK).open("ab")
    except OSError as error:
        raise FetchError(
            f"{root} cannot be written: {error.strerror}. Name a folder that can, by {CACHE_VARIABLE} or load(cache=…);"
            " or fill the cache before it becomes read-only."
        ) from None
    with lock as stream:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(stream.fileno(), msvcrt.LK_LOCK, 1)
        else:
            import fcntl

            fcntl.flock(stream.fileno(), fcntl.LOCK_EX)
        yield


def _is_right(root: Path, entry: FileEntry, manifest_sha256: str, verification_cache: Path | None) -> bool:
    try:
        verify_files(root, [entry], manifest_sha256=manifest_sha256, verification_cache=verification_cache)
    except IntegrityError:
        return False
    return True


def _fetch_one(source: Source, root: Path, entry: FileEntry) -> None:
    scratch = root / _SCRATCH
    try:
        scratch.mkdir(exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=scratch, delete=False) as out, source.open(entry.path) as stream:
            digest, size = hashlib.sha256(), 0
            while chunk := stream.read(_CHUNK):
                size += len(chunk)
                if size > entry.size:
                    break
                digest.update(chunk)
                out.write(chunk)
        if size != entry.size or digest.hexdigest() != entry.sha256:
            Path(out.name).unlink()
            found = f"sha256 {digest.hexdigest()}" if size == entry.size else f"{size} bytes or more"
            raise IntegrityError(
                f"{entry.path}: the source has {found}, the manifest says {entry.size} bytes, sha256 {entry.sha256}."
                " The copy was deleted. The source was changed after it was published, or the transfer was damaged."
            )
        _place(Path(out.name), root, entry.path)
    except OSError as error:
        raise FetchError(f"{entry.path} could not be written below {root}: {error.strerror or error}.") from None


def _place(temporary: Path, root: Path, path: str) -> None:
    """Move into place; whatever stands in the way of the path (a link, a file for a folder) is removed first."""
    target = root
    for part in path.split("/")[:-1]:
        target = target / part
        if target.is_symlink() or (target.exists() and not target.is_dir()):
            target.unlink()
    target.mkdir(parents=True, exist_ok=True)
    target = root / path
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    os.replace(temporary, target)  # noqa: PTH105
