"""Where this package keeps what it can make again: fetched models, compiled ones, verification_cache, timings."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

CACHE_VARIABLE = "ARTIFICER_CACHE"


def cache_folder(environment: Mapping[str, str] = os.environ, platform: str = sys.platform) -> Path:
    """`ARTIFICER_CACHE`, else the platform's own place for caches, with `artificer` below. Not created here."""
    if own := environment.get(CACHE_VARIABLE):
        return Path(own)
    home = Path(environment.get("HOME") or environment.get("USERPROFILE") or Path.home())
    if platform == "darwin":
        return home / "Library" / "Caches" / "artificer"
    if platform == "win32":
        return Path(environment.get("LOCALAPPDATA") or home / "AppData" / "Local") / "artificer" / "cache"
    return Path(environment.get("XDG_CACHE_HOME") or home / ".cache") / "artificer"
