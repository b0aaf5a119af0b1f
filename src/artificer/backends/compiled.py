"""Compiled OpenVINO models, kept between processes: compiling is half of a cold start.

OpenVINO's own cache goes by a file's path and time. This one goes by what the files were verified to be: a kept model's
name is the hash of its graph's and weights' SHA-256, of OpenVINO's version, of the CPU and of every option. Its bytes
end with their SHA-256. A second process maps the file into memory, which takes less of it than compiling does.
"""

import hashlib
import logging
import mmap
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from artificer.backends.lanes import files_of

logger = logging.getLogger("artificer")

MOST_BYTES = 256 << 20
"""Of a graph and its weights: while a larger one is written for the first time, it would take too much memory."""
MOST_MODELS = 8
"""The least recently used ones go first."""
_FORMAT = 1
_DIGEST_BYTES = 32


class CompiledModels:
    """What was compiled from one variant's files.

    Args:
        folder: where compiled models are kept; made when the first one is. Best effort: a folder that cannot be written
            keeps nothing, a file in it that is not whole is not used.
        sha256: of each of the variant's files, by its name without folders, as they were verified.
        adds: whether models that are not there yet are kept too.
    """

    def __init__(self, folder: Path, sha256: Mapping[str, str], *, adds: bool):
        self._folder, self._sha256, self._adds = folder, dict(sha256), adds

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
        if hashlib.sha256(model).digest() != digest:
            logger.warning("%s is damaged, and not used", path)
            return None
        with suppress(OSError):
            os.utime(path)
        return np.frombuffer(model, dtype=np.uint8)

    def keep(self, facts: Mapping[str, Any], graph: Path, compiled: Any) -> None:
        """Write an `openvino.CompiledModel`, unless `graph` and its weights have changed since they were verified."""
        files = files_of(graph)
        if not self._adds or sum(path.stat().st_size for path in files) > MOST_BYTES:
            return
        for path in files:
            with path.open("rb") as stream:
                if hashlib.file_digest(stream, "sha256").hexdigest() != self._sha256.get(path.name):
                    return
        model = compiled.export_model()
        data = model if isinstance(model, bytes) else model.getvalue()
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self._folder, suffix=".partial", delete=False) as partial:
                partial.write(data)
                partial.write(hashlib.sha256(data).digest())
            Path(partial.name).replace(self._path(facts))
            self._prune()
        except OSError as error:
            logger.info("a compiled model is not kept: %s", error)

    def _path(self, facts: Mapping[str, Any]) -> Path:
        identity = {"format": _FORMAT, "files": self._sha256, **facts}
        return self._folder / f"{hashlib.sha256(msgspec.json.encode(identity, order='sorted')).hexdigest()}.compiled"

    def _prune(self) -> None:
        models = sorted(self._folder.glob("*.compiled"), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in models[MOST_MODELS:]:
            path.unlink(missing_ok=True)
