"""Where index.json is kept: a folder or a Hub repo. Of two publishers, the later starts again; no change is lost."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from tenacity import Retrying, retry_if_exception, stop_before_delay, wait_random

from artificer.hub.fetch import locked
from artificer.hub.index import INDEX_FILE, Index
from stages.core import files
from stages.core.errors import PublishError, UsageError
from stages.core.params import load_params
from stages.hub import calls
from stages.hub.repository import HubRepo, moved, open_repo

Change = Callable[[Index], Index]


class IndexStore(Protocol):
    """A place that an index can be read from and changed in."""

    def read(self) -> Index:
        """The index now; an empty one where there is none yet."""
        ...

    def update(self, change: Change, message: str) -> Index:
        """Apply `change` to the newest index. It may be called again on a newer one, and must not change it twice."""
        ...


def open_store() -> IndexStore:
    """The index of params.yaml. Raises UsageError when it names none."""
    params = load_params().publish.index
    if params is None:
        raise UsageError(
            "params.yaml: publish.index: no index is configured. Set it to {folder: dist} or {repo: acme/registry}."
        )
    return FolderStore(Path(params.folder)) if params.folder else open_hub_store(params.repo or "")


def open_hub_store(repo: str) -> "HubStore":
    """The index in a repo of the Hub, with this user's token."""
    from huggingface_hub import get_token

    token = get_token()
    return HubStore(open_repo(repo, token), has_token=token is not None)


class FolderStore:
    """`index.json` in a folder; a lock makes publishers on this machine or share take turns."""

    def __init__(self, folder: Path):
        self._folder, self._path = folder, folder / INDEX_FILE

    def read(self) -> Index:
        """The index now."""
        try:
            return Index.from_json(self._path.read_bytes())
        except FileNotFoundError:
            return Index()

    def update(self, change: Change, message: str) -> Index:
        """Change it under the lock; readers see the old file or the new one."""
        with locked(self._folder):
            before = self.read()
            after = change(before)
            if after != before:
                files.write_file(self._path, after.to_json())
                print(f"{self._path}: {message}")
        return after


class HubStore:
    """`index.json` in a Hub repo; a commit names its parent, so the Hub refuses what was made from an older index."""

    def __init__(self, repo: HubRepo, *, has_token: bool):
        self._name, self._repo, self._has_token = repo.repo, repo, has_token

    def read(self) -> Index:
        """The index now."""
        with calls.hub_errors(self._name, None, PublishError):
            return self._read()[0]

    def update(self, change: Change, message: str) -> Index:
        """Change it in one commit, and read it back."""
        if not self._has_token:
            raise PublishError(f"The index {self._name} needs a token that may write to it: set HF_TOKEN.")
        params = calls.settings().retry
        takes_turns = Retrying(
            retry=retry_if_exception(moved),
            stop=stop_before_delay(params.total_seconds),
            wait=wait_random(0, params.first_wait_seconds),
            reraise=True,
        )
        with calls.hub_errors(self._name, None, PublishError):
            index: Index = takes_turns(calls.retrying(params), self._attempt, change, message)
            return index

    def _attempt(self, change: Change, message: str) -> Index:
        from huggingface_hub import CommitOperationAdd

        before, head = self._read()
        if head is None:
            calls.call(self._repo.api.create_repo, self._name, private=True, exist_ok=True)
            before, head = self._read()  # again: somebody else may have created and filled it
        after = change(before)
        if after == before:
            return after
        if head is None:
            raise PublishError(f"{self._name}: the repo was created but cannot be found. Run again.")
        addition = CommitOperationAdd(INDEX_FILE, after.to_json())
        done = self._repo.commit([addition], message, "", "main", head)
        if self._repo.read(INDEX_FILE, str(done.oid)) != after.to_json():
            self._repo.undo(str(done.oid), head, "main")
            raise PublishError(f"{self._name}: {INDEX_FILE} arrived damaged. The commit was undone. Run again.")
        print(f"{self._name}: {message}")
        return after

    def _read(self) -> tuple[Index, str | None]:
        """The index and the commit that it was read at; no commit where the repo is missing."""
        info = self._repo.info("main")
        if info is None:
            return Index(), None
        names = {file.rfilename for file in info.siblings or []}
        if INDEX_FILE not in names:
            return Index(), str(info.sha)
        return Index.from_json(self._repo.read(INDEX_FILE, str(info.sha))), str(info.sha)
