"""Content-addressed storage: git blobs by their git sha1, large files by their sha256."""

import hashlib
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Entry:
    """A file of a tree: `oid` is its git blob id; a large file has the sha256 of its content, and its pointer's id."""

    oid: str
    size: int
    lfs: str | None = None


Tree = dict[str, Entry]


def git_id(kind: str, data: bytes) -> str:
    """Return the id that git gives to an object of `kind`."""
    return hashlib.sha1(f"{kind} {len(data)}\0".encode() + data, usedforsecurity=False).hexdigest()


def is_sha256(text: str) -> bool:
    """Tell whether `text` can name a large file, and cannot leave its folder."""
    return len(text) == 64 and set(text) <= set("0123456789abcdef")


def lfs_pointer(sha256: str, size: int) -> bytes:
    """Return the pointer file that git stores in place of a large file."""
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()


def lfs_entry(sha256: str, size: int) -> Entry:
    """Return the tree entry of a large file."""
    return Entry(git_id("blob", lfs_pointer(sha256, size)), size, sha256)


def folders(tree: Mapping[str, Entry]) -> dict[str, str]:
    """Return the git tree id of every folder of `tree`, the root (`""`) included."""
    children: dict[str, dict[str, tuple[str, str]]] = {"": {}}
    for path, entry in tree.items():
        parent, _, name = path.rpartition("/")
        children.setdefault(parent, {})[name] = ("100644", entry.oid)
        while parent:
            above, _, _ = parent.rpartition("/")
            children.setdefault(above, {})
            parent = above
    ids: dict[str, str] = {}
    for folder in sorted(children, key=lambda name: name.count("/") + bool(name), reverse=True):
        # git sorts folders as if their names ended in a slash
        rows = sorted(children[folder].items(), key=lambda row: row[0] + ("/" if row[1][0] == "40000" else ""))
        data = b"".join(f"{mode} {name}\0".encode() + bytes.fromhex(oid) for name, (mode, oid) in rows)
        ids[folder] = git_id("tree", data)
        if folder:
            parent, _, name = folder.rpartition("/")
            children[parent][name] = ("40000", ids[folder])
    return ids


def write_atomically(path: Path, data: bytes) -> None:
    """Write `data` to `path` so that a reader, or a restart, sees the old content or the new, whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    with os.fdopen(handle, "wb") as file:
        file.write(data)
    Path(name).replace(path)


class ObjectStore:
    """The objects of every repo, shared: a file stored once is never stored again."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def blob_path(self, oid: str) -> Path:
        """Return where the content of a git blob lies."""
        return self.root / "objects" / oid[:2] / oid

    def lfs_path(self, sha256: str) -> Path:
        """Return where the content of a large file lies."""
        return self.root / "lfs" / sha256[:2] / sha256

    def content_path(self, entry: Entry) -> Path:
        """Return where the content of an entry lies, behind its pointer for a large file."""
        return self.lfs_path(entry.lfs) if entry.lfs else self.blob_path(entry.oid)

    def put_blob(self, data: bytes) -> Entry:
        """Store a file in git."""
        oid = git_id("blob", data)
        if not self.blob_path(oid).exists():
            write_atomically(self.blob_path(oid), data)
        return Entry(oid, len(data))

    def put_lfs(self, data: bytes) -> Entry:
        """Store a large file."""
        sha256 = hashlib.sha256(data).hexdigest()
        if not self.lfs_path(sha256).exists():
            write_atomically(self.lfs_path(sha256), data)
        return lfs_entry(sha256, len(data))

    def adopt_lfs(self, sha256: str, upload: Path) -> None:
        """Move an uploaded file into place under the sha256 that was announced for it."""
        self.lfs_path(sha256).parent.mkdir(parents=True, exist_ok=True)
        upload.replace(self.lfs_path(sha256))

    def read(self, entry: Entry) -> bytes:
        """Return the content of an entry."""
        return self.content_path(entry).read_bytes()
