"""Where this package keeps what it can make again: fetched models, compiled ones, verifications, timings."""

import logging
import os
import stat
import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

CACHE_VARIABLE = "ARTIFICER_CACHE"
PROOFS = "proofs"  # the folder of records of this machine in the cache

logger = logging.getLogger("artificer")


def cache_folder(environment: Mapping[str, str] = os.environ, platform: str = sys.platform) -> Path:
    """`ARTIFICER_CACHE`, else the platform's own place for caches, with `artificer` below. Not created here.

    A process without a home, such as one of a user that the container does not know, gets a folder of its user below
    the folder for temporary files.
    """
    if own := environment.get(CACHE_VARIABLE):
        return Path(own)
    if platform not in ("darwin", "win32") and (caches := environment.get("XDG_CACHE_HOME")):
        return Path(caches) / "artificer"
    if platform == "win32" and (local := environment.get("LOCALAPPDATA")):
        return Path(local) / "artificer" / "cache"
    home = _home(environment)
    if home is None:
        return _temporary()
    if platform == "darwin":
        return home / "Library" / "Caches" / "artificer"
    if platform == "win32":
        return home / "AppData" / "Local" / "artificer" / "cache"
    return home / ".cache" / "artificer"


def _home(environment: Mapping[str, str]) -> Path | None:
    if named := environment.get("HOME") or environment.get("USERPROFILE"):
        return Path(named)
    try:
        return Path.home()
    except RuntimeError:  # nobody knows this user
        return None


@lru_cache(maxsize=1)
def _temporary() -> Path:
    """A folder that nobody else may write to: what is in it is opened without being hashed again."""
    import tempfile  # here: most users have a home

    try:
        parent = Path(tempfile.gettempdir())
        if not hasattr(os, "getuid"):
            return parent / "artificer"
        folder = parent / f"artificer-{os.getuid()}"
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        status = folder.lstat()
        if stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o022:
            return folder
        fresh = Path(tempfile.mkdtemp(prefix="artificer-"))
        logger.warning(
            "%s can be written by others: the cache is in %s, for this process alone. Set %s to a folder that lasts.",
            folder, fresh, CACHE_VARIABLE,
        )  # fmt: skip
        return fresh
    except OSError:  # there is no place to write
        return Path(os.devnull) / "artificer"
