"""Repos and their git-like history in a folder: commits as canonical JSON, refs moved atomically under a lock."""

import hashlib
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from . import errors
from .attributes import DEFAULT_GITATTRIBUTES, track, tracked, upload_mode
from .objects import ObjectStore, Tree, folders, write_atomically
from .repo import MAIN, Change, Commit, Gate, Put, Remove, Repo, RepoType, ref_name, valid_repo_id

_ATTRIBUTES = ".gitattributes"


def _canonical(value: object) -> bytes:
    return msgspec.json.encode(value, order="deterministic")


class Store:
    """Everything that the Hub keeps. A second Store on the same folder sees the same state."""

    def __init__(self, root: Path, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.root = root
        self.objects = ObjectStore(root)
        self.lock = threading.RLock()
        self._clock = clock
        root.mkdir(parents=True, exist_ok=True)

    def now(self) -> str:
        """Return the time in the form that the Hub uses."""
        return f"{self._clock().astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"

    # repos

    def create_repo(
        self, repo_id: str, *, repo_type: RepoType = "model", private: bool = False, gated: Gate = False
    ) -> Repo:
        """Create a repo with the Hub's first commit, which holds .gitattributes."""
        if not valid_repo_id(repo_id):
            raise errors.bad_request(f"Invalid repo name: {repo_id}")
        with self.lock:
            if (self._folder(repo_type, repo_id) / "state.json").exists():
                raise errors.conflict(f"You already created this {repo_type} repo: {repo_id}")
            redirects = self._redirects()
            if redirects.pop(f"{repo_type}/{repo_id}", None):
                write_atomically(self.root / "redirects.json", _canonical(redirects))
            repo = Repo(id=repo_id, type=repo_type, created=self.now(), private=private, gated=gated)
            attributes = self.objects.put_blob(DEFAULT_GITATTRIBUTES.encode())
            repo.refs[MAIN] = self.write_commit(
                repo, None, [Put(_ATTRIBUTES, attributes)], "initial commit", repo.namespace
            )
            self.save(repo)
            return repo

    def repo(self, repo_id: str, repo_type: RepoType = "model") -> Repo:
        """Return a repo's state; a change of it counts when it is saved."""
        path = self._folder(repo_type, repo_id) / "state.json"
        if valid_repo_id(repo_id) and path.exists():
            return msgspec.json.decode(path.read_bytes(), type=Repo)
        target = self._redirects().get(f"{repo_type}/{repo_id}")
        if target is not None:
            raise errors.RepoMovedError(repo_id, target)
        raise errors.repo_not_found(anonymous=False)

    def save(self, repo: Repo) -> None:
        """Make the state of `repo` the current one, in one step."""
        write_atomically(self._folder(repo.type, repo.id) / "state.json", _canonical(repo))

    def move_repo(self, repo_id: str, new_id: str, *, repo_type: RepoType = "model") -> None:
        """Rename a repo; requests for the old name are redirected."""
        with self.lock:
            repo = self.repo(repo_id, repo_type)
            target = self._folder(repo_type, new_id)
            if not valid_repo_id(new_id):
                raise errors.bad_request(f"Invalid repo name: {new_id}")
            if target.exists():
                raise errors.conflict(f"You already created this {repo_type} repo: {new_id}")
            target.parent.mkdir(parents=True, exist_ok=True)
            self._folder(repo_type, repo_id).rename(target)
            repo.id = new_id
            self.save(repo)
            old, new = f"{repo_type}/{repo_id}", f"{repo_type}/{new_id}"
            redirects = {key: new_id if value == repo_id else value for key, value in self._redirects().items()}
            redirects = {**redirects, old: new_id}
            redirects.pop(new, None)
            write_atomically(self.root / "redirects.json", _canonical(redirects))

    def delete_repo(self, repo_id: str, *, repo_type: RepoType = "model") -> None:
        """Delete a repo and its history."""
        with self.lock:
            self.repo(repo_id, repo_type)
            shutil.rmtree(self._folder(repo_type, repo_id))

    def grant_access(self, repo_id: str, user: str, *, repo_type: RepoType = "model") -> None:
        """Put a user on the authorized list of a gated repo."""
        with self.lock:
            repo = self.repo(repo_id, repo_type)
            repo.granted.append(user)
            self.save(repo)

    def set_ref(self, repo_id: str, ref: str, commit: str, *, repo_type: RepoType = "model") -> None:
        """Point a ref (`refs/tags/v1`) at a commit, whether or not it existed: a tag can be moved so."""
        with self.lock:
            repo = self.repo(repo_id, repo_type)
            repo.refs[ref] = self.resolve(repo, commit)
            self.save(repo)

    # history

    def resolve(self, repo: Repo, revision: str) -> str:
        """Return the commit that a ref, branch, tag, commit id or its first seven digits or more stand for."""
        for ref in (revision, f"refs/heads/{revision}", f"refs/tags/{revision}"):
            if ref in repo.refs:
                return repo.refs[ref]
        if 7 <= len(revision) <= 40 and set(revision) <= set("0123456789abcdef"):
            found = list(self._folder(repo.type, repo.id).glob(f"commits/{revision}*.json"))
            if len(found) == 1:
                return found[0].stem
        raise errors.revision_not_found(revision)

    def commit_at(self, repo: Repo, oid: str) -> Commit:
        """Return a commit of `repo` by its id."""
        return msgspec.json.decode(self._commit_path(repo, oid).read_bytes(), type=Commit)

    def tree_at(self, repo: Repo, oid: str) -> Tree:
        """Return the files of a commit."""
        return msgspec.json.decode(self._tree_path(self.commit_at(repo, oid).tree).read_bytes(), type=Tree)

    def log(self, repo: Repo, oid: str) -> Iterator[tuple[str, Commit]]:
        """Yield a commit and those before it, newest first."""
        following: str | None = oid
        while following is not None:
            commit = self.commit_at(repo, following)
            yield following, commit
            following = commit.parents[0] if commit.parents else None

    def write_commit(self, repo: Repo, parent: str | None, changes: Iterable[Change], message: str, author: str) -> str:
        """Store a commit on top of `parent` and return its id; no ref is moved."""
        tree: Tree = self.tree_at(repo, parent) if parent else {}
        large = []
        for change in changes:
            if isinstance(change, Put):
                tree[change.path] = change.entry
                large += [change.path] if change.entry.lfs else []
            else:
                _remove(tree, change)
        self._track(tree, [path for path in large if path in tree])
        tree_id = folders(tree)[""]
        if not self._tree_path(tree_id).exists():
            write_atomically(self._tree_path(tree_id), _canonical(tree))
        commit = _canonical(Commit(author, self.now(), message, (parent,) if parent else (), tree_id))
        oid = hashlib.sha1(commit, usedforsecurity=False).hexdigest()
        write_atomically(self._commit_path(repo, oid), commit)
        return oid

    # direct set-up and inspection, as tests do it

    def commit(
        self,
        repo_id: str,
        files: Mapping[str, bytes | Path] | None = None,
        *,
        delete: Iterable[str] = (),
        message: str = "Update",
        author: str = "somebody-else",
        revision: str = "main",
        repo_type: RepoType = "model",
    ) -> str:
        """Commit files straight to a branch or pull request, past the protocol, and return the commit's id.

        Paths are taken as they are: a test may store a name that no client would send.
        """
        with self.lock:
            repo = self.repo(repo_id, repo_type)
            ref = ref_name(revision)
            head = self.resolve(repo, ref)
            attributes = self._attributes(self.tree_at(repo, head))
            changes: list[Change] = [Remove(path) for path in delete]
            for path, content in (files or {}).items():
                data = content if isinstance(content, bytes) else content.read_bytes()
                mode = upload_mode(path, len(data), data[:512], attributes)
                entry = self.objects.put_lfs(data) if mode == "lfs" else self.objects.put_blob(data)
                changes.append(Put(path, entry))
            repo.refs[ref] = self.write_commit(repo, head, changes, message, author)
            self.save(repo)
            return repo.refs[ref]

    def head(self, repo_id: str, revision: str = "main", *, repo_type: RepoType = "model") -> str:
        """Return the commit that a revision stands for."""
        return self.resolve(self.repo(repo_id, repo_type), revision)

    def files(self, repo_id: str, revision: str = "main", *, repo_type: RepoType = "model") -> Tree:
        """Return the files of a revision by path."""
        repo = self.repo(repo_id, repo_type)
        return self.tree_at(repo, self.resolve(repo, revision))

    def read(self, repo_id: str, path: str, revision: str = "main", *, repo_type: RepoType = "model") -> bytes:
        """Return the content of a file."""
        return self.objects.read(self.files(repo_id, revision, repo_type=repo_type)[path])

    def tamper(
        self, repo_id: str, path: str, data: bytes, revision: str = "main", *, repo_type: RepoType = "model"
    ) -> None:
        """Change the stored bytes of a file behind its commit: every hash stays what it was."""
        entry = self.files(repo_id, revision, repo_type=repo_type)[path]
        write_atomically(self.objects.content_path(entry), data)

    def attributes(self, repo: Repo, oid: str) -> str:
        """Return the .gitattributes of a commit."""
        return self._attributes(self.tree_at(repo, oid))

    def _attributes(self, tree: Tree) -> str:
        return self.objects.read(tree[_ATTRIBUTES]).decode() if _ATTRIBUTES in tree else ""

    def _track(self, tree: Tree, large: list[str]) -> None:
        """Add the lines to .gitattributes that the Hub adds for large files which no line covers."""
        before = text = self._attributes(tree)
        for path in large:
            if not tracked(path, text):
                text = track(path, text)
        if text != before:
            tree[_ATTRIBUTES] = self.objects.put_blob(text.encode())

    def _redirects(self) -> dict[str, str]:
        path = self.root / "redirects.json"
        return msgspec.json.decode(path.read_bytes(), type=dict[str, str]) if path.exists() else {}

    def _folder(self, repo_type: RepoType, repo_id: str) -> Path:
        return self.root / "repos" / repo_type / repo_id

    def _commit_path(self, repo: Repo, oid: str) -> Path:
        return self._folder(repo.type, repo.id) / "commits" / f"{oid}.json"

    def _tree_path(self, oid: str) -> Path:
        return self.root / "trees" / oid[:2] / f"{oid}.json"


def _remove(tree: Tree, change: Remove) -> None:
    paths = [path for path in tree if path.startswith(f"{change.path.rstrip('/')}/")] if change.folder else []
    if not change.folder and change.path in tree:
        paths = [change.path]
    if not paths:
        kind = "folder" if change.folder else "file"
        raise errors.entry_not_found(f"A {kind} with this name doesn't exist: {change.path}")
    for path in paths:
        del tree[path]
