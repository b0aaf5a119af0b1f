"""Who may ask the page anything: a browser on this machine that was given the page by this server."""

import hmac
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

TOKEN_HEADER = "x-artificer-token"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'"
)
HEADERS = {
    "content-security-policy": f"{POLICY}; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}
Next = Callable[[Request], Awaitable[Response]]


def guard(names: frozenset[str], token: str) -> Callable[[Request, Next], Awaitable[Response]]:
    """A middleware. Another name of this machine is refused, since a page elsewhere could have made its browser resolve
    it to here; and so is a POST without the token, which only the served pages hold."""

    async def checked(request: Request, following: Next) -> Response:
        host = request.headers.get("host", "").rpartition(":")[0] or request.headers.get("host", "")
        if host not in names:
            return JSONResponse({"error": f"the host {host!r} is not this server"}, 421)
        given = request.headers.get(TOKEN_HEADER, "")
        if request.method not in ("GET", "HEAD") and not hmac.compare_digest(given.encode(), token.encode()):
            return JSONResponse({"error": "the token is missing or of another start: reload the page"}, 403)
        response = await following(request)
        response.headers.update(HEADERS)
        return response

    return checked
