"""The HTTP library below the Hub's client: requests before 1.0, then httpx, since 2.0 httpx2. What differs is here."""

import json
from functools import lru_cache
from importlib import import_module
from typing import Any


@lru_cache(maxsize=1)
def library() -> Any:
    """The module that the client's own errors derive from."""
    from huggingface_hub import errors

    return import_module(errors.HfHubHTTPError.__mro__[1].__module__.partition(".")[0])


def any_error() -> type[Exception]:
    """What all errors of the library are."""
    kind: type[Exception] = library().RequestException if _is_requests() else library().HTTPError
    return kind


def no_answer() -> tuple[type[Exception], ...]:
    """The request may not have arrived, or its answer did not: a connection that failed or was cut, a time limit."""
    http = library()
    if _is_requests():
        return http.ConnectionError, http.Timeout, http.exceptions.ChunkedEncodingError
    return http.TimeoutException, http.NetworkError, http.RemoteProtocolError, http.ProxyError


def damaged_answer() -> tuple[type[Exception], ...]:
    """An answer that is not JSON: it was cut off or changed in transit."""
    own = (library().exceptions.JSONDecodeError,) if _is_requests() else ()
    return json.JSONDecodeError, UnicodeDecodeError, *own


def limit_reads(seconds: float) -> None:
    """Give every request of the client a time limit per read; several of its own have none."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return  # the client itself refuses every request
    if _is_requests():
        _limit_requests(seconds)
    else:
        _limit_httpx(seconds)


def _limit_requests(seconds: float) -> None:
    from huggingface_hub import configure_http_backend
    from requests import Session
    from requests.adapters import HTTPAdapter

    class Adapter(HTTPAdapter):
        def send(self, request: Any, *arguments: Any, **options: Any) -> Any:
            options["timeout"] = options.get("timeout") or seconds
            return super().send(request, *arguments, **options)

    def session() -> Session:
        made = Session()
        for scheme in ("http://", "https://"):
            made.mount(scheme, Adapter())
        return made

    configure_http_backend(session)


def _limit_httpx(seconds: float) -> None:
    from huggingface_hub import set_client_factory

    def limit(request: Any) -> None:
        # The client passes None, which means no limit, or nothing, which means the default of its session.
        given = request.extensions.get("timeout", {})
        names = ("connect", "read", "write", "pool")
        request.extensions["timeout"] = {name: given.get(name) or seconds for name in names}

    # Without `timeout`, httpx's own default of 5 seconds would stand in every request that names none.
    hooks = {"request": [limit]}
    set_client_factory(lambda: library().Client(follow_redirects=True, timeout=None, event_hooks=hooks))


def _is_requests() -> bool:
    return bool(library().__name__ == "requests")
