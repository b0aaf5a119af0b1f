"""Discussions and pull requests: opening, talking, closing and merging."""

import difflib
import secrets
from typing import Any

from . import errors
from .objects import Entry, Tree, lfs_pointer
from .repo import MAIN, Change, Discussion, DiscussionStatus, Put, Remove, Repo
from .store import Store


def find(repo: Repo, num: int) -> Discussion:
    """Return a discussion by its number."""
    for discussion in repo.discussions:
        if discussion.num == num:
            return discussion
    raise errors.HubError(404, "Discussion not found")


def open_discussion(
    store: Store,
    repo: Repo,
    *,
    title: str,
    description: str,
    author: str,
    pull_request: bool,
    status: DiscussionStatus = "open",
    base: str | None = None,
) -> Discussion:
    """Open a discussion; a pull request gets a ref at `base` (the head of main, if none is given)."""
    if not 3 <= len(title) <= 200:
        raise errors.bad_request("The title must be between 3 and 200 characters long")
    discussion = Discussion(
        num=len(repo.discussions) + 1,
        title=title,
        author=author,
        created=store.now(),
        is_pull_request=pull_request,
        status=status,
    )
    if pull_request:
        discussion.base = base or repo.refs[MAIN]
        repo.refs[discussion.ref] = discussion.base
    repo.discussions.append(discussion)
    if description:
        comment(store, discussion, author, description)
    return discussion


def comment(store: Store, discussion: Discussion, author: str, text: str) -> dict[str, Any]:
    """Add a comment and return its event."""
    latest = {"raw": text, "html": text, "updatedAt": store.now(), "author": {"name": author}}
    data = {"edited": False, "hidden": False, "latest": latest, "numEdits": 0, "history": [latest]}
    return _event(store, discussion, author, "comment", data)


def rename(store: Store, discussion: Discussion, author: str, title: str) -> dict[str, Any]:
    """Change the title and return the event."""
    data = {"from": discussion.title, "to": title}
    discussion.title = title
    return _event(store, discussion, author, "title-change", data)


def change_status(store: Store, discussion: Discussion, author: str, status: DiscussionStatus) -> dict[str, Any]:
    """Open or close and return the event."""
    if discussion.status == "merged":
        raise errors.bad_request("This pull request is already merged")
    discussion.status = status
    return _event(store, discussion, author, "status-change", {"status": status})


def record_commit(store: Store, discussion: Discussion, author: str, oid: str, subject: str) -> None:
    """Note a commit to a pull request."""
    _event(store, discussion, author, "commit", {"subject": subject, "oid": oid})


def merge(store: Store, repo: Repo, discussion: Discussion, author: str) -> None:
    """Put the changes of a pull request on main as one commit."""
    if not discussion.is_pull_request or discussion.status != "open":
        raise errors.bad_request(f"This discussion cannot be merged, it is {discussion.status}")
    conflicts = conflicting_files(store, repo, discussion)
    if conflicts:
        raise errors.conflict(f"Merge conflict: {', '.join(conflicts)}")
    base, ours, theirs = _trees(store, repo, discussion)
    changes: list[Change] = []
    for path in sorted(base.keys() | theirs.keys()):
        if theirs.get(path) == base.get(path) or theirs.get(path) == ours.get(path):
            continue
        changes.append(Put(path, theirs[path]) if path in theirs else Remove(path))
    message = f"{discussion.title} (#{discussion.num})"
    repo.refs[MAIN] = store.write_commit(repo, repo.refs[MAIN], changes, message, author)
    discussion.merged = repo.refs[MAIN]
    discussion.status = "merged"
    _event(store, discussion, author, "status-change", {"status": "merged"})


def conflicting_files(store: Store, repo: Repo, discussion: Discussion) -> list[str]:
    """Return the files that main and the pull request changed in different ways."""
    if discussion.status == "merged":
        return []
    base, ours, theirs = _trees(store, repo, discussion)
    return [
        path
        for path in sorted(base.keys() | ours.keys() | theirs.keys())
        if len({base.get(path), ours.get(path), theirs.get(path)}) == 3
    ]


def diff(store: Store, repo: Repo, discussion: Discussion) -> str:
    """Return the changes of a pull request as a git diff; a large file shows its pointer."""
    base, _, theirs = _trees(store, repo, discussion)
    parts = []
    for path in sorted(base.keys() | theirs.keys()):
        old, new = base.get(path), theirs.get(path)
        if old != new:
            parts.append(f"diff --git a/{path} b/{path}\n")
            before, after = f"a/{path}" if old else "/dev/null", f"b/{path}" if new else "/dev/null"
            parts += difflib.unified_diff(_lines(store, old), _lines(store, new), before, after)
    return "".join(part if part.endswith("\n") else f"{part}\n" for part in parts)


def _lines(store: Store, entry: Entry | None) -> list[str]:
    if entry is None:
        return []
    data = lfs_pointer(entry.lfs, entry.size) if entry.lfs else store.objects.read(entry)
    return data.decode(errors="replace").splitlines(keepends=True)


def _trees(store: Store, repo: Repo, discussion: Discussion) -> tuple[Tree, Tree, Tree]:
    oids = (discussion.base or repo.refs[MAIN], repo.refs[MAIN], repo.refs[discussion.ref])
    base, ours, theirs = (store.tree_at(repo, oid) for oid in oids)
    return base, ours, theirs


def _event(store: Store, discussion: Discussion, author: str, kind: str, data: dict[str, Any]) -> dict[str, Any]:
    event = {
        "id": secrets.token_hex(12),
        "type": kind,
        "author": {"name": author},
        "createdAt": store.now(),
        "data": data,
    }
    discussion.events.append(event)
    return event
