"""The table of routes, and what all handlers share: who is calling, and how a refusal looks."""

from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from . import commits, downloads, errors, lfs, repos, talks, trees
from .call import Call, Site
from .errors import HubError, RepoMovedError
from .faults import STORAGE_ROUTES
from .tokens import Token, Tokens
from .wire import answer

Handler = Callable[[Call], Awaitable[Response]]

_REPO = "/api/{kind:kind}/{namespace}/{name}"
_TALK = _REPO + "/discussions/{num:int}"

# (name, methods, path, handler); the names are what faults and the request log speak of.
_ROUTES: tuple[tuple[str, str, str, Handler], ...] = (
    ("whoami", "GET", "/api/whoami-v2", repos.whoami),
    ("validate_yaml", "POST", "/api/validate-yaml", repos.validate_yaml),
    ("create_repo", "POST", "/api/repos/create", repos.create_repo),
    ("move_repo", "POST", "/api/repos/move", repos.move_repo),
    ("delete_repo", "DELETE", "/api/repos/delete", repos.delete_repo),
    ("info", "GET", _REPO, repos.info),
    ("info", "GET", _REPO + "/revision/{revision}", repos.info),
    ("settings", "PUT", _REPO + "/settings", repos.settings),
    ("auth_check", "GET", _REPO + "/auth-check", repos.auth_check),
    ("tree", "GET", _REPO + "/tree/{revision}", trees.list_tree),
    ("tree", "GET", _REPO + "/tree/{revision}/{path:path}", trees.list_tree),
    ("paths_info", "POST", _REPO + "/paths-info/{revision}", trees.paths_info),
    ("commits", "GET", _REPO + "/commits/{revision}", trees.list_commits),
    ("refs", "GET", _REPO + "/refs", trees.list_refs),
    ("create_branch", "POST", _REPO + "/branch/{branch}", trees.create_branch),
    ("delete_branch", "DELETE", _REPO + "/branch/{branch}", trees.delete_branch),
    ("create_tag", "POST", _REPO + "/tag/{revision}", trees.create_tag),
    ("delete_tag", "DELETE", _REPO + "/tag/{revision}", trees.delete_tag),
    ("preupload", "POST", _REPO + "/preupload/{revision}", commits.preupload),
    ("commit", "POST", _REPO + "/commit/{revision}", commits.commit),
    ("list_discussions", "GET", _REPO + "/discussions", talks.list_discussions),
    ("create_discussion", "POST", _REPO + "/discussions", talks.create_discussion),
    ("discussion", "GET", _TALK, talks.details),
    ("comment", "POST", _TALK + "/comment", talks.comment),
    ("title", "POST", _TALK + "/title", talks.rename),
    ("status", "POST", _TALK + "/status", talks.change_status),
    ("merge", "POST", _TALK + "/merge", talks.merge),
    ("lfs_batch", "POST", "/{namespace}/{name}.git/info/lfs/objects/batch", lfs.batch),
    ("lfs_batch", "POST", "/datasets/{namespace}/{name}.git/info/lfs/objects/batch", lfs.batch),
    ("lfs_verify", "POST", "/{namespace}/{name}.git/info/lfs/objects/verify", lfs.verify),
    ("lfs_verify", "POST", "/datasets/{namespace}/{name}.git/info/lfs/objects/verify", lfs.verify),
    ("lfs_upload", "PUT", "/_storage/upload/{oid}", lfs.upload),
    ("lfs_part", "PUT", "/_storage/parts/{upload}/{number:int}", lfs.upload_part),
    ("lfs_complete", "POST", "/_storage/parts/{upload}", lfs.complete),
    ("download", "GET", "/_storage/objects/{oid}", downloads.download),
    ("resolve", "GET", "/{namespace}/{name}/resolve/{revision}/{path:path}", downloads.resolve),
    ("resolve", "GET", "/datasets/{namespace}/{name}/resolve/{revision}/{path:path}", downloads.resolve),
)


def make_routes(site: Site, tokens: Tokens) -> list[Route]:
    """Return the routes, their handlers bound to the store and the tokens."""
    routes = []
    for name, method, path, handler in _ROUTES:
        kinds = ("models", "datasets") if "{kind:kind}" in path else ("",)
        for kind in kinds:
            endpoint = _endpoint(site, tokens, handler, authenticate=name not in STORAGE_ROUTES)
            routes.append(Route(path.replace("{kind:kind}", kind), endpoint, methods=[method], name=name))
    return routes


def make_app(routes: list[Route]) -> Starlette:
    """Return the application, without the recording and the faults around it."""
    handlers = {HubError: _refuse, RepoMovedError: _redirect, 404: _unknown}
    return Starlette(routes=routes, exception_handlers=handlers)


def _endpoint(
    site: Site, tokens: Tokens, handler: Handler, *, authenticate: bool
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        token: Token | None = None
        header = request.headers.get("authorization")
        if header is not None and authenticate:
            token = tokens.get(header.removeprefix("Bearer "))
            if token is None:
                raise errors.unauthorized()
        return await handler(Call(site, request, token))

    return endpoint


async def _refuse(_: Request, error: Exception) -> Response:
    if not isinstance(error, HubError):
        raise error
    return answer(error)


async def _redirect(request: Request, error: Exception) -> Response:
    if not isinstance(error, RepoMovedError):
        raise error
    # relative: the client follows such a redirect even where it follows no other
    location = request.url.path.replace(f"/{error.old}", f"/{error.new}", 1)
    if request.url.query:
        location += f"?{request.url.query}"
    return PlainTextResponse(
        f"Temporary Redirect. Redirecting to {location}", status_code=307, headers={"Location": location}
    )


async def _unknown(request: Request, _: Exception) -> Response:
    return answer(HubError(404, f"This Hub does not serve {request.method} {request.url.path}"))
