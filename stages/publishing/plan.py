"""What one commit has to change, worked out from what is wanted and what a repo holds. Nothing here does I/O."""

from collections.abc import Mapping
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


class Plan(Struct, frozen=True, kw_only=True):
    """One commit: what goes up, what goes, what stays."""

    uploads: tuple[Wanted, ...]
    deletes: tuple[str, ...]
    replaced: frozenset[str]
    unchanged: int

    @property
    def empty(self) -> bool:
        """Whether the repo holds everything already."""
        return not self.uploads and not self.deletes

    @property
    def bytes(self) -> int:
        """What the files to upload weigh."""
        return sum(wanted.size for wanted in self.uploads)


def make_plan(wanted: Mapping[str, Wanted], state: State) -> Plan:
    """Upload what differs; delete what an earlier publish of ours put there, is not wanted, and nobody changed."""
    uploads = tuple(item for path, item in sorted(wanted.items()) if not item.is_held(state.files.get(path)))
    deletes = tuple(
        path
        for path, entry in sorted(state.previous.items())
        if path not in wanted and path in state.files and not _edited(entry, state.files[path])
    )
    return Plan(
        uploads=uploads,
        deletes=deletes,
        replaced=frozenset(item.path for item in uploads if item.path in state.files),
        unchanged=len(wanted) - len(uploads),
    )


def not_ours(wanted: Mapping[str, Wanted], state: State) -> list[str]:
    """Paths that a publish would overwrite although no manifest of ours lists them."""
    return [
        path
        for path, item in sorted(wanted.items())
        if path in state.files and path not in state.previous and not item.is_held(state.files[path])
    ]


def edited_by_others(wanted: Mapping[str, Wanted], state: State) -> list[str]:
    """Paths of ours that somebody changed since our publish, and that a publish would overwrite."""
    return [
        path
        for path, item in sorted(wanted.items())
        if path in state.previous
        and path in state.files
        and _edited(state.previous[path], state.files[path])
        and not item.is_held(state.files[path])
    ]


def moved_by_others(wanted: Mapping[str, Wanted], before: State, now: State) -> list[str]:
    """Paths of ours that changed between two readings of the repo, other than to what we want."""
    ours = wanted.keys() | before.previous.keys()
    return [
        path
        for path in sorted(ours)
        if _content(now.files.get(path)) != _content(before.files.get(path))
        and not (wanted[path].is_held(now.files.get(path)) if path in wanted else path not in now.files)
    ]


def differences(wanted: Mapping[str, Wanted], gone: tuple[str, ...], state: State) -> list[str]:
    """Paths where the repo is not what a publish should have left."""
    wrong = [path for path, item in wanted.items() if not item.is_held(state.files.get(path))]
    return sorted(wrong + [path for path in gone if path in state.files])


def _edited(entry: FileEntry, held: Held) -> bool:
    """Whether the file is no longer what was published. `State` holds the sha256 wherever this is asked."""
    return held.size != entry.size or (held.sha256 is not None and held.sha256 != entry.sha256)


def _content(held: Held | None) -> str | None:
    """Git's id of the file or of its pointer: equal for equal content."""
    return held.blob_id if held else None
