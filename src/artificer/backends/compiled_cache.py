"""The cache of compiled OpenVINO models, which outlives the process. Compiling is half of a cold start.

OpenVINO's own cache goes by a file's path and time. This one goes by what the files were verified to be: the name of a
cached compiled model is the hash of its graph's and weights' SHA-256, of OpenVINO's version, of the CPU and of every
option. Its bytes end with a SHA-256 of that name and themselves. A second process maps the file into memory, which
takes less memory than compiling does. Like any mapped file it must be replaced, never written to, while it is in use.
"""

import hashlib
import logging
import mmap
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from artificer.storage.atomic_write import PARTIAL_SUFFIX, write_whole

logger = logging.getLogger("artificer")

MOST_BYTES_OF_FILES = 256 << 20
"""Of a graph and its weights: while a larger one is written for the first time, it would take too much memory."""
MOST_BYTES_KEPT = 1 << 30
"""Of all models in the folder; those used least recently go first."""
_FORMAT = 1
_DIGEST_BYTES = 32
_ABANDONED_SECONDS = 3600  # a file that is still being written is younger


class CompiledModelCache:
    """What was compiled from one variant's files.

    Args:
        folder: holds the compiled models of all variants; made when the first one is added. Where nothing can be
            written, nothing is added. A file that is not whole is not used.
        sha256: of each of the variant's files, by its name without folders, as they were verified.
        machine: what the compiled code depends on, beside what OpenVINO says of the CPU.
        adds: whether models that are not there yet are added.
    """

    def __init__(self, folder: Path, sha256: Mapping[str, str], *, machine: tuple[str, ...] = (), adds: bool):
        self._folder, self._sha256, self._machine, self._adds = folder, dict(sha256), machine, adds
        self._used: Path | None = None

    def find(self, facts: Mapping[str, Any]) -> NDArray[np.uint8] | None:
        """The compiled model of these facts, mapped into memory for as long as the array lives."""
        path = self._path(facts)
        try:
            with path.open("rb") as stream:
                mapped = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY)  # OpenVINO wants a writable one
        except (OSError, ValueError):  # ValueError: an empty file
            return None
        whole = memoryview(mapped)
        model, digest = whole[:-_DIGEST_BYTES], whole[-_DIGEST_BYTES:]
        if _digest(path, model) != digest:
            logger.warning("%s is damaged and was not used", path)
            return None
        with suppress(OSError):
            os.utime(path)
        self._used = path
        return np.frombuffer(model, dtype=np.uint8)

    def drop(self) -> bool:
        """Remove the model that `find` gave, if it gave one; whether it did."""
        path, self._used = self._used, None
        if path is None:
            return False
        with suppress(OSError):
            path.unlink(missing_ok=True)
        return True

    def keep(self, facts: Mapping[str, Any], files: Sequence[Path], compiled: Any) -> None:
        """Write an `openvino.CompiledModel`, unless the graph's `files` have changed since they were verified."""
        if not self._adds:
            return
        try:
            if sum(path.stat().st_size for path in files) > MOST_BYTES_OF_FILES or not all(
                map(self._is_verified, files)
            ):
                return
            model = compiled.export_model()
            data, path = model if isinstance(model, bytes) else model.getvalue(), self._path(facts)
            write_whole(path, data, _digest(path, data))
            self._prune()
        except Exception as error:  # it is compiled and can be used, whatever OpenVINO or the disk say now
            logger.info("a compiled model of %s cannot be cached: %s", files[0].name, error)

    def _is_verified(self, path: Path) -> bool:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest() == self._sha256.get(path.name)

    def _path(self, facts: Mapping[str, Any]) -> Path:
        identity = {"format": _FORMAT, "files": self._sha256, "machine": self._machine, **facts}
        return self._folder / f"{hashlib.sha256(msgspec.json.encode(identity, order='sorted')).hexdigest()}.compiled"

    def _prune(self) -> None:
        """Remove what is beyond the limit, and what killed processes left; others may be doing the same."""
        found: list[tuple[float, int, Path]] = []
        for path in self._folder.iterdir():
            with suppress(OSError):
                status = path.stat()
                if path.suffix == ".compiled":
                    found.append((status.st_mtime, status.st_size, path))
                elif path.suffix == PARTIAL_SUFFIX and time.time() - status.st_mtime > _ABANDONED_SECONDS:
                    path.unlink()
        total = 0
        for _, size, path in sorted(found, reverse=True):
            total += size
            if total > MOST_BYTES_KEPT:
                with suppress(OSError):
                    path.unlink()


def _digest(path: Path, model: bytes | memoryview) -> bytes:
    """Of a model under that name: one that is put under another name is not whole there."""
    digest = hashlib.sha256(path.name.encode())
    digest.update(model)
    return digest.digest()
