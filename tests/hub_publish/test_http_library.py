"""What may be tried again, whichever HTTP library the client of the Hub uses."""

import json
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest
from huggingface_hub import constants
from huggingface_hub.errors import HfHubHTTPError

from stages.core.errors import SourceError
from stages.core.params import RetryParams, load_params
from stages.hub import calls, http_library


@pytest.fixture
def retry() -> RetryParams:
    """As params.yaml says."""
    return load_params().hub.retry


def test_the_library_is_the_one_below_the_client() -> None:
    """The client's own errors are errors of the library."""
    assert http_library.library().__name__ in ("requests", "httpx", "httpx2")
    assert issubclass(HfHubHTTPError, http_library.any_error())


@pytest.mark.parametrize("kind", [*http_library.no_answer(), *http_library.damaged_answer()])
def test_no_answer_and_a_damaged_one_may_pass(retry: RetryParams, kind: type[Exception]) -> None:
    """The same request can have an answer a moment later."""
    arguments = {json.JSONDecodeError: ("no JSON", "{", 0), UnicodeDecodeError: ("utf-8", b"\xff", 0, 1, "invalid")}
    assert calls.may_pass(
        kind(*arguments.get(kind, ("no JSON", "{", 0) if "JSON" in kind.__name__ else ("lost",))), retry
    )


def test_a_lost_connection_is_one_message() -> None:
    """No kind of error passes by `hub_errors`."""
    for kind in http_library.no_answer():
        with pytest.raises(SourceError, match=r"acme/model at main: .*lost"), calls.hub_errors("acme/model", "main"):
            raise kind("lost")


@pytest.mark.parametrize("given", [{}, {"timeout": None}])
def test_the_limit_holds_for_requests_that_name_none(monkeypatch: pytest.MonkeyPatch, given: dict[str, Any]) -> None:
    """httpx has 5 seconds of its own, which many of the client's requests would get, whatever params.yaml says."""
    made: list[Callable[[], Any]] = []
    for name in ("set_client_factory", "configure_http_backend"):
        monkeypatch.setattr(f"huggingface_hub.{name}", made.append, raising=False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    http_library.limit_reads(0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent, made[0]() as client:
        started = time.monotonic()
        with pytest.raises(http_library.no_answer()):
            client.post(f"http://127.0.0.1:{silent.getsockname()[1]}/", **given)
        assert time.monotonic() - started < 3
