"""Handlers of the large-file protocol: the batch request, uploads in one piece and in parts, and the verify action."""

import hashlib
import math
import secrets
from pathlib import Path
from typing import Any

from starlette.responses import JSONResponse, Response

from . import errors
from .call import Call
from .objects import is_sha256
from .repo import Repo
from .wire import DETECTED_BY

_BAD_DIGEST = "BadDigest: The SHA256 you specified did not match what we received"


async def batch(call: Call) -> Response:
    """Tell for each object where to upload it; an object that is stored already gets no action."""
    body = await call.json()
    repo = call.repo()
    _require_upload(call, repo, (body.get("ref") or {}).get("name"))
    if body.get("operation") != "upload":
        raise errors.bad_request("This Hub serves downloads by their resolve address")
    objects = [_object(call, repo, item, multipart="multipart" in body["transfers"]) for item in body["objects"]]
    parts = any("chunk_size" in item.get("actions", {}).get("upload", {}).get("header", {}) for item in objects)
    # never "xet", though the client offers it: it then takes the actions below
    return JSONResponse(
        {"transfer": "multipart" if parts else "basic", "objects": objects},
        media_type="application/vnd.git-lfs+json",
    )


async def upload(call: Call) -> Response:
    """Take an object in one piece."""
    _require_signature(call)
    oid = call.param("oid")
    path = _scratch(call) / secrets.token_hex(8)
    await _receive(call, path)
    _accept(call, oid, path, call.request.scope.get(DETECTED_BY, "storage"))
    return Response(headers={"ETag": f'"{oid}"'})


async def upload_part(call: Call) -> Response:
    """Take one part of an object."""
    _require_signature(call)
    path = _scratch(call) / call.param("upload") / call.param("number")
    path.parent.mkdir(exist_ok=True)
    digest = await _receive(call, path)
    if DETECTED_BY in call.request.scope:
        path.with_name("detected_by").write_text(call.request.scope[DETECTED_BY])
    return Response(headers={"ETag": f'"{digest}"'})


async def complete(call: Call) -> Response:
    """Join the parts of an object."""
    _require_signature(call)
    body = await call.json()
    folder = _scratch(call) / call.param("upload")
    whole = folder / "whole"
    with whole.open("wb") as file:
        for part in body["parts"]:
            path = folder / str(int(part["partNumber"]))
            if not path.exists() or part["etag"] != f'"{_md5(path)}"':
                raise errors.bad_request("InvalidPart: One or more of the specified parts could not be found")
            file.write(path.read_bytes())
    marker = folder / "detected_by"
    _accept(call, str(body["oid"]), whole, marker.read_text() if marker.exists() else "storage")
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    return Response()


async def verify(call: Call) -> Response:
    """Confirm that an object has arrived."""
    body = await call.json()
    call.repo()
    call.require_login()
    oid = str(body["oid"])
    path = call.store.objects.lfs_path(oid)
    if not is_sha256(oid) or not path.exists() or path.stat().st_size != body["size"]:
        raise errors.HubError(404, f"Object {oid} was not uploaded")
    return JSONResponse({})


def _object(call: Call, repo: Repo, item: dict[str, Any], *, multipart: bool) -> dict[str, Any]:
    oid, size = str(item["oid"]), int(item["size"])
    row: dict[str, Any] = {"oid": oid, "size": size}
    if not is_sha256(oid):
        return row | {"error": {"code": 422, "message": "Invalid oid"}}
    if call.store.objects.lfs_path(oid).exists():
        return row
    if multipart and size > call.site.multipart_threshold:
        name = secrets.token_hex(8)
        count = math.ceil(size / call.site.part_size)
        parts = {f"{n:05d}": _signed(call, f"/_storage/parts/{name}/{n}") for n in range(1, count + 1)}
        header = {"chunk_size": str(call.site.part_size), **parts}
        action = {"href": _signed(call, f"/_storage/parts/{name}"), "header": header}
    else:
        action = {"href": _signed(call, f"/_storage/upload/{oid}"), "header": {}}
    verify_href = f"{call.base}/{repo.path}.git/info/lfs/objects/verify"
    return row | {"authenticated": True, "actions": {"upload": action, "verify": {"href": verify_href, "header": {}}}}


def _require_upload(call: Call, repo: Repo, ref: str | None) -> None:
    # without a ref the upload is for a new pull request, which anyone may open
    if ref is None:
        call.require_login()
        return
    call.require_write(repo, next((entry for entry in repo.discussions if entry.ref == ref), None))


def _signed(call: Call, path: str) -> str:
    return f"{call.base}{path}?signature={call.site.signature(path)}"


def _require_signature(call: Call) -> None:
    if call.request.query_params.get("signature") != call.site.signature(call.request.url.path):
        raise errors.forbidden("SignatureDoesNotMatch")


def _scratch(call: Call) -> Path:
    folder = call.store.root / "uploads"
    folder.mkdir(exist_ok=True)
    return folder


async def _receive(call: Call, path: Path) -> str:
    """Write the request's body to `path` and return its md5, which names a part; nothing stays of a body cut short."""
    digest = hashlib.md5(usedforsecurity=False)
    try:
        with path.open("wb") as file:
            async for chunk in call.request.stream():
                file.write(chunk)
                digest.update(chunk)
    except BaseException:
        path.unlink()
        raise
    return digest.hexdigest()


def _accept(call: Call, oid: str, path: Path, detected_by: str) -> None:
    """Store an upload under the announced sha256 if it has it; a damaged one as the armed fault says."""
    with path.open("rb") as file:
        damaged = hashlib.file_digest(file, "sha256").hexdigest() != oid
    if damaged and detected_by != "nobody":
        path.unlink()
        if detected_by == "storage":
            raise errors.bad_request(_BAD_DIGEST)
        return
    call.store.objects.adopt_lfs(oid, path)


def _md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
