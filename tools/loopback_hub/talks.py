"""Handlers for discussions and pull requests."""

from collections.abc import Callable
from typing import Any

from starlette.responses import JSONResponse, Response

from . import discussions, errors
from .call import Call
from .repo import MAIN, Discussion, Repo

_PAGE_SIZE = 10

# which statuses the filters of a listing stand for
_STATUSES = {"all": {"draft", "open", "closed", "merged"}, "open": {"draft", "open"}, "closed": {"closed", "merged"}}


async def list_discussions(call: Call) -> Response:
    """List discussions and pull requests, newest first."""
    repo = call.repo()
    query = call.request.query_params
    kind, author = query.get("type", "all"), query.get("author")
    rows = [
        _row(repo, discussion)
        for discussion in reversed(repo.discussions)
        if discussion.status in _STATUSES[query.get("status", "all")]
        and (kind == "all" or (kind == "pull_request") == discussion.is_pull_request)
        and author in (None, discussion.author)
    ]
    start = int(query.get("p", "0")) * _PAGE_SIZE
    return JSONResponse({"discussions": rows[start : start + _PAGE_SIZE], "count": len(rows), "start": start})


async def create_discussion(call: Call) -> Response:
    """Open a discussion, or a pull request as a draft without changes."""
    body = await call.json()
    call.require_login()
    pull_request = bool(body.get("pullRequest", False))
    with call.store.lock:
        repo = call.repo()
        discussion = discussions.open_discussion(
            call.store,
            repo,
            title=str(body["title"]),
            description=str(body.get("description", "")),
            author=call.user,
            pull_request=pull_request,
            status="draft" if pull_request else "open",
        )
        call.store.save(repo)
    return JSONResponse({"num": discussion.num, "pullRequest": pull_request})


async def details(call: Call) -> Response:
    """Describe a discussion with its events; a pull request also with its conflicts and its diff."""
    repo = call.repo()
    discussion = discussions.find(repo, int(call.param("num")))
    row = _row(repo, discussion) | {"events": discussion.events}
    if discussion.is_pull_request:
        row["changes"] = {"base": MAIN}
        if discussion.merged:
            row["changes"]["mergeCommitId"] = discussion.merged
        row["filesWithConflicts"] = discussions.conflicting_files(call.store, repo, discussion)
        row["diff"] = discussions.diff(call.store, repo, discussion)
    return JSONResponse(row)


async def comment(call: Call) -> Response:
    """Add a comment."""
    text = str((await call.json())["comment"])
    return _change(
        call, "newMessage", lambda _, discussion: discussions.comment(call.store, discussion, call.user, text)
    )


async def rename(call: Call) -> Response:
    """Change the title."""
    title = str((await call.json())["title"])

    def change(repo: Repo, discussion: Discussion) -> dict[str, Any]:
        call.require_write(repo, discussion)
        return discussions.rename(call.store, discussion, call.user, title)

    return _change(call, "newTitle", change)


async def change_status(call: Call) -> Response:
    """Open or close."""
    body = await call.json()
    status = body["status"]
    if status not in ("open", "closed"):
        raise errors.bad_request(f"Invalid status: {status}")

    def change(repo: Repo, discussion: Discussion) -> dict[str, Any]:
        call.require_write(repo, discussion)
        if body.get("comment"):
            discussions.comment(call.store, discussion, call.user, str(body["comment"]))
        return discussions.change_status(call.store, discussion, call.user, status)

    return _change(call, "newStatus", change)


async def merge(call: Call) -> Response:
    """Merge a pull request."""
    body = await call.json()

    def change(repo: Repo, discussion: Discussion) -> dict[str, Any]:
        call.require_write(repo)
        if body.get("comment"):
            discussions.comment(call.store, discussion, call.user, str(body["comment"]))
        discussions.merge(call.store, repo, discussion, call.user)
        return {}

    return _change(call, "merge", change)


def _change(call: Call, key: str, change: Callable[[Repo, Discussion], dict[str, Any]]) -> Response:
    call.require_login()
    with call.store.lock:
        repo = call.repo()
        event = change(repo, discussions.find(repo, int(call.param("num"))))
        call.store.save(repo)
    return JSONResponse({key: event})


def _row(repo: Repo, discussion: Discussion) -> dict[str, Any]:
    return {
        "num": discussion.num,
        "title": discussion.title,
        "status": discussion.status,
        "author": {"name": discussion.author},
        "createdAt": discussion.created,
        "isPullRequest": discussion.is_pull_request,
        "repo": {"name": repo.id, "type": repo.type},
    }
