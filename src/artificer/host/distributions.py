"""Versions of installed distributions, from the names of their metadata folders.

importlib.metadata reads the same, but its import takes a tenth of the time from process start to the first score: it
brings packages for e-mail and zip files.
"""

import os
import re
import sys
from collections.abc import Iterable, Sequence


def installed_versions(names: Iterable[str], places: Sequence[str] | None = None) -> dict[str, str]:
    """Name to version of the distributions that are installed in `places`, None for `sys.path`; the first place wins.

    A folder is named `name-version.dist-info` (https://packaging.python.org/specifications/recording-installed-packages).
    Where there is an older kind of record, or a zip file on the path, importlib.metadata is asked.
    """
    wanted = {_normal(name): name for name in names}
    found: dict[str, str] = {}
    older: set[str] = set()
    for place in sys.path if places is None else places:
        try:
            entries = os.listdir(place or ".")  # noqa: PTH208  # thousands of Path objects take milliseconds
        except NotADirectoryError:
            older |= wanted.keys()
            continue
        except OSError:
            continue
        for entry in entries:
            stem, _, kind = entry.rpartition(".")
            if kind in ("dist-info", "egg-info"):
                name, _, version = stem.partition("-")
                normal = _normal(name)
                if normal in wanted and kind == "dist-info" and version:
                    found.setdefault(wanted[normal], version)
                elif normal in wanted:
                    older.add(normal)
    for normal in older:
        recorded = None if wanted[normal] in found else _from_metadata(wanted[normal])
        if recorded is not None:
            found[wanted[normal]] = recorded
    return found


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _from_metadata(name: str) -> str | None:
    from importlib import metadata

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
