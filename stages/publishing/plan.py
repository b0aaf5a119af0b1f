"""What one commit has to change, worked out from what is wanted and what a repo holds. Nothing here does I/O."""

from collections.abc import Mapping

from msgspec import Struct

from artificer.manifest import FileEntry
from stages.hub.repo_state import Held, State, Wanted


class Plan(Struct, frozen=True, kw_only=True):
    """One commit: what is uploaded, what is deleted, what stays."""

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
        """The size of the files to upload, in bytes."""
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
