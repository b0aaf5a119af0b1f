"""`update`: find Hub sources whose tracked branch or tag moved, show what changed, and pin them again."""

import tempfile
from pathlib import Path
from typing import Any

from msgspec import Struct

from stages.core import files, paths
from stages.core.errors import BuildError, OutdatedError, SourceError, UsageError
from stages.core.names import is_commit
from stages.hub import calls
from stages.registry import checkpoint, model_list, sources
from stages.registry.model_list import Lock, ModelEntry


class Move(Struct, frozen=True, kw_only=True):
    """A branch or tag that no longer means the pinned commit. `changed` are the checkpoint's files that differ, each
    with what happened; None where the pinned commit is gone from the Hub."""

    old: str
    new: str
    titles: tuple[str, ...]
    changed: tuple[str, ...] | None

    @property
    def matters(self) -> bool:
        """Whether a build would come out differently: a new model card alone does not require a build."""
        return self.changed is None or bool(self.changed)


def update(slug: list[str], check: bool) -> None:
    """Check the models (all when none is named), and re-pin what moved unless `check` is set.

    An error of one model does not stop the update of the others. Raises OutdatedError with `check` when something
    moved, else SourceError with everything that went wrong.
    """
    entries = model_list.load_entries()
    if unknown := [name for name in slug if name not in entries]:
        raise UsageError(
            f"{paths.REGISTRY}: models: unknown model {unknown[0]!r}; known: {', '.join(entries) or 'none'}."
        )
    moved, problems = [], []
    for name in slug or entries:
        try:
            if _update(name, entries[name], check):
                moved.append(name)
        except BuildError as error:
            problems.append(f"{name}: {error}")
    if problems:
        raise SourceError("\n".join(problems))
    if check and moved:
        raise OutdatedError(f"{', '.join(moved)} moved. `python -m stages update` pins the current commit.")
    if moved:
        print("next: dvc repro")


def find_move(entry: ModelEntry, lock: Lock) -> Move | None:
    """How the tracked branch or tag moved since the lock, or None. Raises SourceError."""
    from huggingface_hub import HfApi

    repo, old, new = entry.source.repo or "", lock.revision or "", sources.resolve(entry.source)
    if new == old:
        return None
    with calls.hub_errors(repo, new):
        api = HfApi()
        titles = []
        for commit in calls.call(api.list_repo_commits, repo, revision=new):
            if commit.commit_id == old:
                break
            titles.append(f"{commit.commit_id[:12]}  {commit.title}")
        after = _blobs(api, repo, new)
    try:
        with calls.hub_errors(repo, old):
            before = _blobs(api, repo, old)
    except SourceError:
        return Move(old=old, new=new, titles=tuple(titles), changed=None)
    locked = {file.path for file in lock.files}
    watched = sorted(locked | set(checkpoint.needed_files(filter(checkpoint.may_be_needed, after))))
    changed = tuple(
        f"{'+' if path not in before else '-' if path not in after else '~'} {path}"
        for path in watched
        if before.get(path) != after.get(path)
    )
    return Move(old=old, new=new, titles=tuple(titles), changed=changed)


def _update(slug: str, entry: ModelEntry, check: bool) -> bool:
    """Report on one model, and re-pin it; whether it moved in a way that matters."""
    source = entry.source
    if source.path or is_commit(source.revision):
        print(
            f"{slug}: {source.location} {'is a folder' if source.path else 'is pinned in the entry'}: nothing to track"
        )
        return False
    move = find_move(entry, model_list.load_lock(slug, entry))
    if move is None:
        print(f"{slug}: {source.location} at {source.revision} has not moved")
        return False
    print(f"{slug}: {source.location}: {source.revision} moved from {move.old} to {move.new}")
    for title in move.titles[:10]:
        print(f"    {title}")
    if move.changed is None:
        print("    the pinned commit is gone from the Hub: the branch was rewritten")
    for line in move.changed or ():
        print(f"  {line}")
    if not move.matters:
        print("    no file of the checkpoint changed: the pin stays")
        return False
    if not check:
        with tempfile.TemporaryDirectory() as folder:
            lock = sources.pin(source, Path(folder))
            checkpoint.inspect(Path(folder), source.location)
        files.write_file(paths.lock(slug), model_list.lock_json(lock))
        print(f"    pinned {lock.revision}")
    return True


def _blobs(api: Any, repo: str, commit: str) -> dict[str, str]:
    info = calls.call(api.model_info, repo, revision=commit, files_metadata=True)
    return {file.rfilename: str(file.blob_id) for file in info.siblings or []}
