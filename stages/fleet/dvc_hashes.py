"""The hashes that dvc.lock holds, of files and folders: MD5, of a folder over the sorted list of its files.

As DVC computes them (dvc_data.hashfile.tree), in linear time: DVC's own takes time that grows with the square of the
number of folders. `.dvcignore` is followed.
"""

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pathspec


class Hashes:
    """Hashes of paths below the working directory, each computed once."""

    def __init__(self) -> None:
        ignored = Path(".dvcignore")
        lines = ignored.read_text(encoding="utf-8").splitlines() if ignored.is_file() else []
        self._ignored = pathspec.PathSpec.from_lines("gitignore", lines)
        self.of = cache(self._of)

    def _of(self, path: str) -> str | None:
        """The hash of a file or a folder; None where there is neither."""
        found = Path(path)
        if found.is_file():
            return _md5(found)
        if not found.is_dir():
            return None
        return folder_hash(
            {
                file.relative_to(found).as_posix(): _md5(file)
                for file in found.rglob("*")
                if file.is_file() and not self._ignored.match_file(file.as_posix())
            }
        )


def folder_hash(files: Mapping[str, str]) -> str:
    """The hash of a folder, from the MD5 of each file by its path in the folder."""
    entries = [{"md5": files[path], "relpath": path} for path in sorted(files)]
    return hashlib.md5(json.dumps(entries, sort_keys=True).encode(), usedforsecurity=False).hexdigest() + ".dir"


def cached_folder(oid: str, cache_folder: Path) -> dict[str, str] | None:
    """The files of a folder that DVC has in its cache, by path; None where the cache lacks it."""
    try:
        entries = json.loads((cache_folder / "files" / "md5" / oid[:2] / oid[2:]).read_bytes())
    except (OSError, ValueError):
        return None
    return {entry["relpath"]: entry["md5"] for entry in entries}


def _md5(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
