"""Handlers that read history: trees, paths, commits and refs; and those that make branches and tags."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qs

from starlette.responses import JSONResponse, Response

from . import errors
from .call import Call
from .objects import Entry, Tree, folders, lfs_pointer
from .repo import MAIN, Repo


async def list_tree(call: Call) -> Response:
    """List the files and folders of a revision, or of a folder in it."""
    repo = call.repo()
    oid = call.revision(repo)
    tree = call.store.tree_at(repo, oid)
    folder = call.param("path").strip("/") if "path" in call.request.path_params else ""
    prefix = f"{folder}/" if folder else ""
    if prefix and not any(path.startswith(prefix) for path in tree):
        raise errors.entry_not_found(f'{folder} does not exist on "{call.param("revision")}"', oid)
    listed = [path for path in _paths(tree) if path.startswith(prefix)]
    if not call.flag("recursive"):
        listed = [path for path in listed if "/" not in path.removeprefix(prefix)]
    rows = [_row(call, repo, oid, tree, path, expand=call.flag("expand")) for path in listed]
    # an expanded row costs the Hub more, so that its pages are shorter
    return _page(call, rows, call.site.page_size if call.flag("expand") else 20 * call.site.page_size)


async def paths_info(call: Call) -> Response:
    """Describe some paths of a revision; those that do not exist are left out."""
    repo = call.repo()
    oid = call.revision(repo)
    tree = call.store.tree_at(repo, oid)
    form = parse_qs((await call.request.body()).decode())
    expand = form.get("expand", [""])[0].lower() in ("1", "true")
    known = set(_paths(tree))
    return JSONResponse(
        [_row(call, repo, oid, tree, path, expand=expand) for path in form.get("paths", []) if path in known]
    )


async def list_commits(call: Call) -> Response:
    """List the commits of a revision, newest first."""
    repo = call.repo()
    rows = [
        {
            "id": oid,
            "title": commit.title,
            "message": commit.body,
            "authors": [{"user": commit.author, "avatar": ""}],
            "date": commit.date,
        }
        for oid, commit in call.store.log(repo, call.revision(repo))
    ]
    return _page(call, rows, call.site.page_size)


async def list_refs(call: Call) -> Response:
    """List branches, tags and, if asked to, pull requests."""
    repo = call.repo()

    def rows(prefix: str, strip: str) -> list[dict[str, str]]:
        return [
            {"name": ref.removeprefix(strip), "ref": ref, "targetCommit": oid}
            for ref, oid in sorted(repo.refs.items())
            if ref.startswith(prefix)
        ]

    refs = {"branches": rows("refs/heads/", "refs/heads/"), "tags": rows("refs/tags/", "refs/tags/"), "converts": []}
    if call.flag("include_prs"):
        refs["pullRequests"] = rows("refs/pr/", "")
    return JSONResponse(refs)


async def create_branch(call: Call) -> Response:
    """Create a branch."""
    body = await call.json()
    branch = call.param("branch")
    if branch.startswith("refs/"):
        raise errors.bad_request(f"Invalid reference for a branch: {branch}")
    _create_ref(call, f"refs/heads/{branch}", body.get("startingPoint") or "main")
    return JSONResponse({})


async def create_tag(call: Call) -> Response:
    """Create a tag."""
    body = await call.json()
    _create_ref(call, f"refs/tags/{body['tag']}", call.param("revision"))
    return JSONResponse({})


async def delete_branch(call: Call) -> Response:
    """Delete a branch other than main."""
    _delete_ref(call, f"refs/heads/{call.param('branch')}")
    return JSONResponse({})


async def delete_tag(call: Call) -> Response:
    """Delete a tag."""
    _delete_ref(call, f"refs/tags/{call.param('revision')}")
    return JSONResponse({})


def _create_ref(call: Call, ref: str, revision: str) -> None:
    with call.store.lock:
        repo = call.repo()
        call.require_write(repo)
        if ref in repo.refs:
            raise errors.conflict(f"Reference already exists: {ref}")
        repo.refs[ref] = call.store.resolve(repo, revision)
        call.store.save(repo)


def _delete_ref(call: Call, ref: str) -> None:
    with call.store.lock:
        repo = call.repo()
        call.require_write(repo)
        if ref == MAIN:
            raise errors.bad_request("Cannot delete the main branch")
        if repo.refs.pop(ref, None) is None:
            raise errors.revision_not_found(ref)
        call.store.save(repo)


def _paths(tree: Tree) -> list[str]:
    return sorted({*tree, *folders(tree)} - {""})


def _row(call: Call, repo: Repo, oid: str, tree: Tree, path: str, *, expand: bool) -> dict[str, Any]:
    entry = tree.get(path)
    if entry is None:
        row: dict[str, Any] = {"type": "directory", "oid": folders(tree)[path], "size": 0, "path": path}
    else:
        row = {"type": "file", "oid": entry.oid, "size": entry.size, "path": path}
        if entry.lfs:
            pointer_size = len(lfs_pointer(entry.lfs, entry.size))
            row["lfs"] = {"oid": entry.lfs, "size": entry.size, "pointerSize": pointer_size}
    if expand:
        row["lastCommit"] = _last_commit(call, repo, oid, path)
    return row


def _last_commit(call: Call, repo: Repo, oid: str, path: str) -> dict[str, str]:
    """Return the newest commit in which `path` differs from the commit before."""
    history = list(call.store.log(repo, oid))
    contents = [_content(call.store.tree_at(repo, each), path) for each, _ in history] + [{}]
    changed = next(index for index in range(len(history)) if contents[index] != contents[index + 1])
    newest, commit = history[changed]
    return {"id": newest, "title": commit.title, "date": commit.date}


def _content(tree: Tree, path: str) -> dict[str, Entry]:
    return {name: entry for name, entry in tree.items() if name == path or name.startswith(f"{path}/")}


def _page(call: Call, rows: Sequence[dict[str, Any]], size: int) -> JSONResponse:
    """Return one page of rows and the address of the next."""
    number = int(call.request.query_params.get("p", "0"))
    headers = {}
    if len(rows) > (number + 1) * size:
        following = call.request.url.include_query_params(p=number + 1)
        headers["Link"] = f'<{following}>; rel="next"'
    return JSONResponse(rows[number * size : (number + 1) * size], headers=headers)
