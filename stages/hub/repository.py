"""One branch or pull request of one Hub repo: read it at a commit, download from it, commit to it, undo a commit."""

import hashlib
import tempfile
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from artificer.errors import ArtificerError
from artificer.manifest import MANIFEST_FILE, SIGNATURE_FILE, FileEntry, Manifest, describe_file
from stages.core.errors import PublishError
from stages.hub import calls
from stages.hub.repo_state import Held, State, Wanted


def open_repo(repo: str, token: str | None) -> "HubRepo":
    """A repo, with the client set up as params.yaml says. Sends no request."""
    from huggingface_hub import HfApi
    from huggingface_hub.utils.tqdm import disable_progress_bars

    disable_progress_bars()
    calls.use_timeout(calls.settings().timeout_seconds)
    # False, and not None: without a token of ours the client must not look for one by itself.
    return HubRepo(repo, HfApi(token=token or False))


class HubRepo:
    """A repo with the client and the token to use on it. No method prints or raises a token."""

    def __init__(self, repo: str, api: Any):
        self.repo, self.api = repo, api

    def info(self, revision: str) -> Any | None:
        """What the Hub says about `revision`, or None where the repo does not exist. Raises PublishError when it was
        renamed, and the client's errors for all else."""
        from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

        try:
            info = calls.call(self.api.repo_info, self.repo, revision=revision, files_metadata=True)
        except GatedRepoError:
            raise
        except RepositoryNotFoundError:
            return None
        if info.id != self.repo:
            raise PublishError(f"{self.repo} was renamed to {info.id} on the Hub: publish there (`publish.repo`).")
        return info

    def has(self, revision: str) -> bool:
        """Whether the repo has this branch or pull request."""
        from huggingface_hub.errors import RevisionNotFoundError

        try:
            return self.info(revision) is not None
        except RevisionNotFoundError:
            return False

    def state(self, revision: str, wanted: Mapping[str, Wanted], previous: Mapping[str, FileEntry] | None) -> State:
        """The repo at `revision`. `previous` None: what the manifest there lists is ours."""
        info = self.info(revision)
        if info is None:
            raise PublishError(f"{self.repo}: no such repo on the Hub, or the token may not see it.")
        commit = str(info.sha)
        files = {
            file.rfilename: Held(
                size=int(file.lfs.size if file.lfs else file.size or 0),
                sha256=str(file.lfs.sha256) if file.lfs else None,
                blob_id=str(file.blob_id),
            )
            for file in info.siblings or []
        }
        if previous is None:
            previous = self._published(commit, SIGNATURE_FILE in files) if MANIFEST_FILE in files else {}
        for path in previous:
            held = files.get(path)
            if held and held.sha256 is None and not (path in wanted and wanted[path].is_held(held)):
                found = self.describe(path, commit)
                files[path] = Held(size=held.size, sha256=found.sha256, blob_id=held.blob_id)
        return State(commit=commit, files=files, previous=dict(previous))

    def read(self, path: str, commit: str) -> bytes:
        """The bytes of a file."""
        with tempfile.TemporaryDirectory(prefix="artificer-") as folder:
            return self._download(path, commit, Path(folder)).read_bytes()

    def describe(self, path: str, commit: str) -> FileEntry:
        """Size and sha256 of a file, from its bytes."""
        with tempfile.TemporaryDirectory(prefix="artificer-") as folder:
            local = self._download(path, commit, Path(folder))
            return FileEntry(
                path=path, size=local.stat().st_size, sha256=describe_file(local.parent, local.name).sha256
            )

    def damaged(self, wanted: Mapping[str, Wanted], paths: list[str], commit: str) -> list[str]:
        """Those of `paths` whose bytes, downloaded, are not what was uploaded."""
        right = (wanted[path].sha256 for path in paths)
        # Twice, because the download may be what is damaged.
        return [
            path
            for path, sha256 in zip(paths, right, strict=True)
            if all(self.describe(path, commit).sha256 != sha256 for _ in range(2))
        ]

    def undo(self, commit: str, parent: str, ref: str) -> None:
        """Put back what `commit` changed, where nobody has changed it since, in one more commit on `ref`."""
        from huggingface_hub import CommitOperationCopy, CommitOperationDelete

        before, after = (self.state(each, {}, {}).files for each in (parent, commit))
        now = self.state(ref, {}, {})
        operations: list[Any] = []
        for path in sorted(before.keys() | after.keys()):
            if (
                before.get(path) == after.get(path)
                or now.files.get(path) != after.get(path)
                or path == ".gitattributes"
            ):
                continue
            if path in before:
                operations.append(CommitOperationCopy(path, path, src_revision=parent))
            else:
                operations.append(CommitOperationDelete(path))
        if operations:
            self.commit(operations, f"Undo {commit[:12]}: it arrived damaged", "", ref, now.commit)

    def commit(
        self, operations: list[Any], title: str, text: str, ref: str, parent: str, *, create_pr: bool = False
    ) -> Any:
        """One commit on `parent`, which must still be the head. Not retried here: it may have landed."""
        return self.api.create_commit(
            self.repo,
            operations,
            commit_message=title,
            commit_description=text,
            revision=ref,
            parent_commit=parent,
            create_pr=create_pr,
        )

    def child(self, parent: str, revision: str) -> str | None:
        """The commit on top of `parent` in the history of `revision`, or None."""
        commits = calls.call(self.api.list_repo_commits, self.repo, revision=revision)
        ids = [str(commit.commit_id) for commit in commits]
        return next((child for child, below in pairwise(ids) if below == parent), None)

    def _download(self, path: str, commit: str, folder: Path) -> Path:
        return Path(calls.call(self.api.hf_hub_download, self.repo, path, revision=commit, local_dir=folder))

    def _published(self, commit: str, is_signed: bool) -> dict[str, FileEntry]:
        """What the manifest at `commit` lists, with itself and its signature; nothing where it is not Artificer's."""
        data = self.read(MANIFEST_FILE, commit)
        try:
            entries = Manifest.from_json(data).published_files()
        except ArtificerError:
            return {}
        own = FileEntry(path=MANIFEST_FILE, size=len(data), sha256=hashlib.sha256(data).hexdigest())
        signature = (self.describe(SIGNATURE_FILE, commit),) if is_signed else ()
        return {entry.path: entry for entry in (*entries, own, *signature)}


def moved(error: BaseException) -> bool:
    """Whether a commit was refused because the branch has another head by now (412) or is being written to (409)."""
    return calls.status_of(error) in (409, 412)
