"""Handlers for downloads: `resolve`, and the storage address that a large file is redirected to."""

from starlette.responses import FileResponse, Response

from . import errors
from .call import Call


async def resolve(call: Call) -> Response:
    """Serve a small file, or point to the storage of a large one."""
    repo = call.repo()
    call.require_content(repo)
    oid = call.revision(repo)
    path = call.param("path")
    entry = call.store.tree_at(repo, oid).get(path)
    if entry is None:
        raise errors.entry_not_found(commit=oid)
    headers = {"X-Repo-Commit": oid, "Accept-Ranges": "bytes"}
    name = path.rpartition("/")[2]
    if entry.lfs is None:
        headers["ETag"] = f'"{entry.oid}"'
        return FileResponse(call.store.objects.content_path(entry), headers=headers, filename=name)
    headers["X-Linked-Size"] = str(entry.size)
    headers["X-Linked-ETag"] = f'"{entry.lfs}"'
    address = f"/_storage/objects/{entry.lfs}"
    # Another host than the Hub's, as on the real one: the client stops there to read the headers of this answer, and
    # takes its token along to no other host.
    storage = call.base.replace("//127.0.0.1", "//localhost", 1)
    headers["Location"] = f"{storage}{address}?signature={call.site.signature(address)}"
    return Response(status_code=302, headers=headers)


async def download(call: Call) -> Response:
    """Serve a large file by its signed storage address."""
    if call.request.query_params.get("signature") != call.site.signature(call.request.url.path):
        raise errors.forbidden("SignatureDoesNotMatch")
    sha256 = call.param("oid")
    return FileResponse(
        call.store.objects.lfs_path(sha256), headers={"ETag": f'"{sha256}"'}, media_type="application/octet-stream"
    )
