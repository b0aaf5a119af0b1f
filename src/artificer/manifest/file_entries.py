"""Files as the manifest describes them: canonical bytes, digests, safe paths."""

import hashlib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from artificer.manifest.structs import FileEntry

MANIFEST_FILE = "manifest.json"
SIGNATURE_FILE = "model.sig"


def canonical_json(value: Any) -> bytes:
    """Sorted keys, two spaces, a final newline: equal values give equal bytes."""
    return msgspec.json.format(msgspec.json.encode(value, order="sorted"), indent=2) + b"\n"


def tree_digest(files: Iterable[FileEntry]) -> str:
    """One SHA-256 for a set of files: over the lines `<sha256>  <path>`, sorted by path, as `sha256sum` prints them."""
    lines = (f"{entry.sha256}  {entry.path}\n" for entry in sorted(files, key=lambda entry: entry.path))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def describe_file(root: Path, path: str) -> FileEntry:
    """Size and SHA-256 of `root / path`, read once."""
    with (root / path).open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        return FileEntry(path=path, size=stream.tell(), sha256=digest)


def unsafe_path_reason(path: str) -> str | None:
    """Why `path` must not be joined to a folder, or None: it must be a plain relative POSIX path on every system."""
    if not path or "\0" in path or "\\" in path or ":" in path:
        return "it is empty or holds NUL, a backslash or a colon"
    if any(ord(char) < 32 or ord(char) == 127 or 0xD800 <= ord(char) <= 0xDFFF for char in path):
        return "it holds a control character or a lone surrogate"
    parts = path.split("/")
    if PurePosixPath(path).is_absolute() or any(part in ("", ".", "..") for part in parts):
        return "it is absolute, leaves the folder, or is not normalised"
    if any(part.endswith((" ", ".")) for part in parts):
        return "a part ends in a dot or a space, which some file systems drop"
    return None
