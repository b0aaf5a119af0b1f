"""What a repo of the Hub holds at a commit, and what it is to hold."""

from pathlib import Path

from msgspec import Struct

from artificer.manifest import FileEntry

GIT_FILE_LIMIT = 10 << 20  # bytes; the Hub keeps no larger file in git itself


class Wanted(Struct, frozen=True, kw_only=True):
    """A file to be in the repo. `blob_id` is its git id, empty for a file too large to be in git itself."""

    path: str
    origin: Path
    size: int
    sha256: str
    blob_id: str

    def is_held(self, held: "Held | None") -> bool:
        """Whether the repo holds these bytes, going by the hash that it states."""
        if held is None or held.size != self.size:
            return False
        return held.sha256 == self.sha256 if held.sha256 else bool(self.blob_id) and held.blob_id == self.blob_id


class Held(Struct, frozen=True, kw_only=True):
    """A file of the repo, as the Hub lists it: `sha256` for one in large-file storage, else None until it is read."""

    size: int
    sha256: str | None
    blob_id: str


class State(Struct, frozen=True, kw_only=True):
    """A repo at a commit. `previous` are the files there that an earlier publish of ours lists, by path."""

    commit: str
    files: dict[str, Held]
    previous: dict[str, FileEntry]
