"""Handlers for committing: how each file is to be uploaded, and the commit itself."""

import base64
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec
from huggingface_hub.constants import HUGGINGFACE_CO_URL_HOME
from starlette.responses import JSONResponse, Response

from . import discussions, errors
from .attributes import MAX_REGULAR_SIZE, ignored, upload_mode
from .call import Call
from .objects import is_sha256, lfs_entry
from .repo import MAIN, Change, Discussion, Put, Remove, Repo, ref_name, safe_path

Operation = Literal["header", "file", "lfsFile", "deletedFile", "deletedFolder"]


@dataclass
class CommitRequest:
    """The body of a commit request: a header line and one line per operation."""

    summary: str = ""
    description: str = ""
    parent: str | None = None
    changes: list[Change] = field(default_factory=list)

    @property
    def message(self) -> str:
        """The commit message."""
        return f"{self.summary}\n\n{self.description}" if self.description else self.summary


async def preupload(call: Call) -> Response:
    """Tell for each file whether it goes to large-file storage, is ignored, and what the repo holds in its place."""
    repo = call.repo()
    _require_target(call, repo)
    body = await call.json()
    oid = call.revision(repo)
    tree = call.store.tree_at(repo, oid)
    attributes = call.store.attributes(repo, oid)
    gitignore = body.get("gitIgnore")
    if gitignore is None:
        gitignore = call.store.objects.read(tree[".gitignore"]).decode() if ".gitignore" in tree else ""
    files = []
    for file in body["files"]:
        path = str(file["path"])
        current = tree.get(path)
        files.append(
            {
                "path": path,
                "uploadMode": upload_mode(path, file["size"], base64.b64decode(file["sample"]), attributes),
                "shouldIgnore": ignored(path, gitignore),
                "oid": (current.lfs or current.oid) if current else None,
            }
        )
    return JSONResponse({"files": files, "commitOid": oid})


async def commit(call: Call) -> Response:
    """Commit to a branch, to a pull request, or to a new pull request."""
    body = await call.request.body()
    with call.store.lock:
        repo = call.repo()
        create_pr = call.flag("create_pr")
        discussion = _require_target(call, repo)
        ref = ref_name(call.param("revision"))
        if ref not in repo.refs or ref.startswith("refs/tags/"):
            raise errors.revision_not_found(call.param("revision"))
        try:
            request = parse(call, body)
        except (KeyError, TypeError, ValueError) as error:  # a body that was damaged on the way
            raise errors.bad_request(f"Invalid commit: {error!r}") from error
        if create_pr:
            if ref != MAIN:
                raise errors.bad_request("A pull request can only be opened on main")
            base = call.store.resolve(repo, request.parent) if request.parent else repo.refs[MAIN]
            discussion = discussions.open_discussion(
                call.store,
                repo,
                title=request.summary,
                description=request.description,
                author=call.user,
                pull_request=True,
                base=base,
            )
            ref = discussion.ref
        elif request.parent is not None and not repo.refs[ref].startswith(request.parent):
            raise errors.head_moved()
        oid = call.store.write_commit(repo, repo.refs[ref], request.changes, request.message, call.user)
        repo.refs[ref] = oid
        if discussion is not None:
            discussions.record_commit(call.store, discussion, call.user, oid, request.summary)
        call.store.save(repo)
    # The client takes the repo from this address and accepts no host but the public one, or that of HF_ENDPOINT:
    # it puts the latter in place of the former.
    answer = {
        "success": True,
        "commitOid": oid,
        "commitUrl": f"{HUGGINGFACE_CO_URL_HOME}{repo.path}/commit/{oid}",
        "hookOutput": "",
    }
    if create_pr and discussion is not None:
        answer["pullRequestUrl"] = f"{call.base}/{repo.path}/discussions/{discussion.num}"
    return JSONResponse(answer)


def parse(call: Call, body: bytes) -> CommitRequest:
    """Read the lines of a commit request and store the content that came with them."""
    request = CommitRequest()
    for key, value in _lines(body):
        if key == "header":
            request.summary = str(value.get("summary", ""))
            request.description = str(value.get("description", ""))
            request.parent = value.get("parentCommit")
            continue
        path = str(value["path"])
        if not safe_path(path.rstrip("/") if key == "deletedFolder" else path):
            raise errors.bad_request(f"Invalid path: {path}")
        match key:
            case "file":
                content = base64.b64decode(value["content"])
                if len(content) > MAX_REGULAR_SIZE:
                    raise errors.bad_request(
                        "Your push was rejected because it contains files larger than 10 MiB."
                        f" Please use https://git-lfs.github.com/ to store large files. Offending files: - {path}"
                    )
                request.changes.append(Put(path, call.store.objects.put_blob(content)))
            case "lfsFile":
                request.changes.append(_large_file(call, path, str(value["oid"])))
            case "deletedFile" | "deletedFolder":
                request.changes.append(Remove(path.rstrip("/"), folder=key == "deletedFolder"))
    if not request.summary:
        raise errors.bad_request('"value.summary" is not allowed to be empty')
    return request


def _large_file(call: Call, path: str, sha256: str) -> Put:
    stored = call.store.objects.lfs_path(sha256)
    if not is_sha256(sha256) or not stored.exists():
        raise errors.bad_request(
            "Your push was rejected because an LFS pointer pointed to a file that does not exist."
            f" Offending file: - {path}"
        )
    return Put(path, lfs_entry(sha256, stored.stat().st_size))


def _lines(body: bytes) -> Iterable[tuple[Operation, dict[str, Any]]]:
    for line in body.splitlines():
        if line.strip():
            try:
                item = msgspec.json.decode(line, type=_Line)
            except msgspec.DecodeError as error:
                raise errors.bad_request(f"Invalid commit: {error}") from error
            yield item.key, item.value


class _Line(msgspec.Struct):
    key: Operation
    value: dict[str, Any]


def _require_target(call: Call, repo: Repo) -> Discussion | None:
    """Refuse a caller who may not commit to the path's revision; return the pull request that it names, if any."""
    revision = call.param("revision")
    if call.flag("create_pr"):
        call.require_login()
        return None
    discussion = None
    if revision.startswith("refs/pr/"):
        discussion = next((entry for entry in repo.discussions if entry.ref == revision), None)
    call.require_write(repo, discussion)
    if discussion is not None and discussion.status in ("closed", "merged"):
        raise errors.forbidden(f"This pull request is {discussion.status}")
    return discussion
