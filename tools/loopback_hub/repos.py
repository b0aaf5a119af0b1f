"""Handlers for repos as a whole: creating, describing, moving, and who the caller is."""

from typing import Any

import yaml
from starlette.responses import JSONResponse, Response

from . import card_rules, errors
from .call import Call
from .objects import Entry, lfs_pointer
from .repo import RepoType


async def whoami(call: Call) -> Response:
    """Describe the caller."""
    if call.token is None:
        raise errors.unauthorized()
    token = call.token
    return JSONResponse(
        {
            "type": "user",
            "id": token.user,
            "name": token.user,
            "fullname": token.user,
            "email": None,
            "isPro": False,
            "orgs": [{"type": "org", "id": org, "name": org, "roleInOrg": token.role} for org in token.orgs],
            "auth": {"type": "access_token", "accessToken": {"displayName": token.user, "role": token.role}},
        }
    )


async def create_repo(call: Call) -> Response:
    """Create a repo in a namespace that the caller may write to."""
    token = call.require_login()
    body = await call.json()
    repo_type = _repo_type(body.get("type") or "model")
    repo_id = f"{body.get('organization') or token.user}/{body.get('name')}"
    namespace = repo_id.split("/")[0]
    if not token.may_write(namespace):
        raise errors.forbidden(f'You don\'t have the rights to create a {repo_type} under the namespace "{namespace}"')
    try:
        repo = call.store.create_repo(repo_id, repo_type=repo_type, private=_private(body) or False)
    except errors.HubError as error:
        if error.status != 409:
            raise
        # the client reads the address of the repo from the refusal
        repo = call.store.repo(repo_id, repo_type)
        return JSONResponse({"error": error.message, "url": f"{call.base}/{repo.path}"}, 409)
    return JSONResponse({"url": f"{call.base}/{repo.path}", "name": repo.id, "private": repo.private})


async def move_repo(call: Call) -> Response:
    """Rename a repo."""
    token = call.require_login()
    body = await call.json()
    for repo_id in (str(body["fromRepo"]), str(body["toRepo"])):
        if not token.may_write(repo_id.split("/")[0]):
            raise errors.forbidden()
    repo_type = _repo_type(body.get("type") or "model")
    call.store.move_repo(str(body["fromRepo"]), str(body["toRepo"]), repo_type=repo_type)
    return JSONResponse({})


async def delete_repo(call: Call) -> Response:
    """Delete a repo."""
    token = call.require_login()
    body = await call.json()
    namespace = str(body.get("organization") or token.user)
    if not token.may_write(namespace):
        raise errors.forbidden()
    call.store.delete_repo(f"{namespace}/{body['name']}", repo_type=_repo_type(body.get("type") or "model"))
    return JSONResponse({})


async def settings(call: Call) -> Response:
    """Change whether the repo is private or gated."""
    body = await call.json()
    with call.store.lock:
        repo = call.repo()
        call.require_write(repo)
        wish = _private(body)
        repo.private = repo.private if wish is None else wish
        repo.gated = body.get("gated", repo.gated)
        call.store.save(repo)
    return JSONResponse({"private": repo.private, "gated": repo.gated})


async def auth_check(call: Call) -> Response:
    """Tell whether the caller may download from the repo."""
    call.require_content(call.repo())
    return JSONResponse({})


async def info(call: Call) -> Response:
    """Describe the repo at a revision, with sizes and hashes of its files if asked to."""
    repo = call.repo()
    oid = call.revision(repo) if "revision" in call.request.path_params else call.store.resolve(repo, "main")
    tree = call.store.tree_at(repo, oid)
    card = _front_matter(call.store.objects.read(tree["README.md"]).decode() if "README.md" in tree else "")
    data = {
        "_id": repo.id,
        "id": repo.id,
        "modelId": repo.id,
        "author": repo.namespace,
        "sha": oid,
        "createdAt": repo.created,
        "lastModified": call.store.commit_at(repo, oid).date,
        "private": repo.private,
        "gated": repo.gated,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "tags": card.get("tags") or [],
        "library_name": card.get("library_name"),
        "pipeline_tag": card.get("pipeline_tag"),
        "cardData": card,
        "siblings": [_sibling(path, entry, blobs=call.flag("blobs")) for path, entry in sorted(tree.items())],
        "spaces": [],
        "usedStorage": sum(entry.size for entry in tree.values()),
    }
    wanted = set(call.request.query_params.getlist("expand"))
    if wanted:
        data = {key: value for key, value in data.items() if key in wanted | {"_id", "id"}}
    return JSONResponse(data)


async def validate_yaml(call: Call) -> Response:
    """Check the metadata at the head of a README.md."""
    body = await call.json()
    try:
        card = _front_matter(str(body.get("content", "")))
    except yaml.YAMLError as error:
        return JSONResponse({"errors": [{"message": str(error)}], "warnings": []}, 400)
    missing = [] if card else [{"message": "empty or missing yaml metadata in repo card"}]
    wrong = [{"message": problem} for problem in card_rules.problems(card)]
    return JSONResponse({"errors": wrong, "warnings": missing}, 400 if wrong else 200)


def _sibling(path: str, entry: Entry, *, blobs: bool) -> dict[str, Any]:
    sibling: dict[str, Any] = {"rfilename": path}
    if blobs:
        sibling |= {"size": entry.size, "blobId": entry.oid}
    if blobs and entry.lfs:
        pointer_size = len(lfs_pointer(entry.lfs, entry.size))
        sibling["lfs"] = {"sha256": entry.lfs, "size": entry.size, "pointerSize": pointer_size}
    return sibling


def _front_matter(readme: str) -> dict[str, Any]:
    if not readme.startswith("---\n"):
        return {}
    card = yaml.safe_load(readme.split("\n---", 1)[0].removeprefix("---\n"))
    return card if isinstance(card, dict) else {}


def _private(body: dict[str, Any]) -> bool | None:
    """What the body says about it; clients since 1.x say it by `visibility`."""
    if "visibility" in body:
        return bool(body["visibility"] == "private")
    return bool(body["private"]) if "private" in body else None


def _repo_type(name: str) -> RepoType:
    if name == "model":
        return "model"
    if name == "dataset":
        return "dataset"
    raise errors.bad_request(f"This Hub keeps models and datasets, not a {name}")
