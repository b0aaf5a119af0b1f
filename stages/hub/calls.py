"""The Hugging Face Hub, as the builder sees it: what is tried again and how long, and every failure as one message.

huggingface_hub retries some requests by itself (parts of large uploads, resumed downloads). What it leaves to its
caller is retried here, by tenacity, as `hub.retry` of params.yaml says.
"""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, stop_before_delay
from tenacity import wait as waits

from stages.core.errors import BuildError, SourceError, first_line
from stages.core.params import HubParams, RetryParams, load_params
from stages.hub import http_library

T = TypeVar("T")
TOKEN_LIKE = re.compile(r"hf_[A-Za-z0-9]{6,}|(?<=[Bb]earer )\S+|(?<=[?&])\S+")

_sleep = time.sleep


def settings() -> HubParams:
    """`hub` of params.yaml."""
    return load_params().hub


def retrying(params: RetryParams, also: Callable[[BaseException], bool] = lambda _: False) -> Retrying:
    """Tenacity's loop for requests that may pass the next time; the last error comes out as it is.

    `also` names further errors to try again after, for example a branch that moved.
    """
    return Retrying(
        retry=retry_if_exception(lambda error: may_pass(error, params) or also(error)),
        stop=stop_after_attempt(params.attempts) | stop_before_delay(params.total_seconds),
        wait=_Wait(params),
        sleep=lambda seconds: _sleep(seconds),
        reraise=True,
    )


def call(action: Callable[..., T], *arguments: Any, **options: Any) -> T:
    """`action(…)`, a request without effect or with the same effect however often it is made, tried again."""
    return retrying(settings().retry)(action, *arguments, **options)


class _Wait(waits.wait_base):
    """What the Hub asks for in Retry-After, else exponential with jitter."""

    def __init__(self, params: RetryParams):
        self._backoff = waits.wait_exponential_jitter(
            multiplier=params.first_wait_seconds, max=params.max_wait_seconds, jitter=params.first_wait_seconds
        )

    def __call__(self, retry_state: RetryCallState) -> float:
        error = retry_state.outcome.exception() if retry_state.outcome else None
        asked = retry_after(error) if error else None
        return self._backoff(retry_state) if asked is None else asked


def may_pass(error: BaseException, params: RetryParams) -> bool:
    """Whether the same request may succeed a moment later: no answer, or a status that params.yaml lists."""
    from huggingface_hub import errors

    if isinstance(error, errors.OfflineModeIsEnabled | BuildError):
        return False
    if _is_upload(error):  # damaged or cut on the way, unless it was refused
        return status_of(error) not in (401, 403)
    cause = _cause(error)
    if isinstance(cause, errors.OfflineModeIsEnabled):
        return False
    if isinstance(cause, http_library.damaged_answer()):
        return True
    status = status_of(cause)
    if status is not None:
        return status in params.statuses
    return isinstance(cause, (*http_library.no_answer(), errors.FileMetadataError)) or (
        isinstance(cause, OSError) and "Consistency check failed" in str(cause)
    )


def status_of(error: BaseException) -> int | None:
    """The HTTP status behind an error of the client, or None when there was no answer."""
    response = getattr(_cause(error), "response", None)
    return None if response is None else int(response.status_code)


def retry_after(error: BaseException) -> float | None:
    """The seconds that the Hub asked to wait, where it did."""
    response = getattr(_cause(error), "response", None)
    value = response.headers.get("Retry-After", "") if response is not None else ""
    return float(value) if re.fullmatch(r"\d{1,6}", value) else None


@contextmanager
def hub_errors(repo: str, revision: str | None, kind: type[BuildError] = SourceError) -> Iterator[None]:
    """Raise the client's errors as `kind`, each with what happened and what to do; nothing secret is in the text."""
    from huggingface_hub import errors

    try:
        yield
    except BuildError:
        raise
    except (OSError, RuntimeError, ValueError, errors.EntryNotFoundError, http_library.any_error()) as error:
        raise kind(explain(error, repo, revision)) from None


def explain(error: BaseException, repo: str, revision: str | None) -> str:
    """What happened, where, and what to do next."""
    from huggingface_hub import errors

    where = f"{repo} at {revision}" if revision else repo
    if isinstance(error, errors.LocalEntryNotFoundError):
        reason = explain(error.__cause__, repo, revision) if error.__cause__ else f"{where}: the network is off."
        return f"{reason} The file is not in the local cache either."
    cause = _cause(error)
    status = status_of(cause)
    match cause:
        case errors.OfflineModeIsEnabled():
            return f"{where}: the network is off (HF_HUB_OFFLINE). Unset it and run again."
        case errors.GatedRepoError():
            return f"{repo} is gated: ask for access on its page on the Hub, then set HF_TOKEN to a token of yours."
        case errors.RepositoryNotFoundError():
            return f"{repo}: no such repo on the Hub, or it is private. Check the name, or set HF_TOKEN to a token."
        case errors.RevisionNotFoundError():
            return f"{repo} has no revision {revision!r}: moved or deleted. Run `pin` or `update` to choose another."
        case errors.HFValidationError():
            return f"{where}: {_what(cause)}"
        case _ if status == 401:
            return f"{where}: the Hub refused the token (401): it is wrong or has expired. Set HF_TOKEN to a valid one."
        case _ if status == 403:
            return f"{where}: the token may not do this (403): {_server_message(cause)}. Use one with that permission."
        case _ if status == 429:
            seconds = retry_after(cause)
            wait = f" It asks to wait {seconds:.0f} s." if seconds is not None else ""
            return f"{where}: the Hub limits requests (429).{wait} Run again later."
        case errors.EntryNotFoundError():
            return f"{where}: a file is not there: {_server_message(cause)}. Pin or publish again."
        case _ if status is not None and status >= 500:
            return f"{where}: the Hub keeps failing ({status}). Run again later."
        case _ if status is not None:
            return f"{where}: the Hub answered {status}: {_server_message(cause)}."
        case OSError() if "Consistency check failed" in str(cause):
            return f"{where}: a downloaded file has the wrong size. Run again."
        case OSError() if getattr(cause, "errno", None) and cause.strerror:
            return f"{where}: {cause.strerror} ({cause.filename or 'connection'}). Run again once this is fixed."
        case _:
            return f"{where}: the Hub cannot be reached or did not finish: {_what(cause)}. Run again."


def redact(text: str) -> str:
    """`text` without anything that looks like a token, and without the queries of addresses, which may be signed."""
    return TOKEN_LIKE.sub("…", text)


@lru_cache(maxsize=1)
def use_timeout(seconds: float) -> None:
    """Give every request of huggingface_hub a time limit per read; several of its own have none."""
    http_library.limit_reads(seconds)


def _is_upload(error: BaseException) -> bool:
    return isinstance(error, RuntimeError) and "Error while uploading" in str(error)


def _cause(error: BaseException) -> BaseException:
    """Through the client's wrappers to the error that tells most."""
    from huggingface_hub import errors

    wrapped = _is_upload(error) or isinstance(error, errors.LocalEntryNotFoundError)
    wrapped = wrapped or (isinstance(error, ValueError) and str(error).startswith("Force download failed"))
    return _cause(error.__cause__) if wrapped and error.__cause__ is not None else error


def _server_message(error: BaseException) -> str:
    message = getattr(error, "server_message", None)
    return redact(str(message).strip().rstrip(".")) if message else "no reason given"


def _what(error: BaseException) -> str:
    """The first line of an error, safe to print; its kind where it has no text."""
    return redact(first_line(error, with_kind=False).rstrip(".")) if str(error).strip() else type(error).__name__
