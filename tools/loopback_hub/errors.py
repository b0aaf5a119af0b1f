"""What the Hub answers when it refuses: the statuses, header codes and messages that the client turns into types."""

from collections.abc import Mapping
from dataclasses import dataclass, field

INVALID_CREDENTIALS = "Invalid credentials in Authorization header"
HEAD_MOVED = "A commit has happened since. Please refresh and try again."


@dataclass(eq=False)
class HubError(Exception):
    """A refusal; `code` goes into the X-Error-Code header, from which the client picks its exception."""

    status: int
    message: str
    code: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(eq=False)
class RepoMovedError(Exception):
    """The repo was renamed; the request is answered with a redirect to its new name."""

    old: str
    new: str


def repo_not_found(*, anonymous: bool) -> HubError:
    """Answer for a missing repo, and for a private one that the caller may not see."""
    # The Hub answers 401 without a code to a caller without a token, and the client infers the type from an https
    # address. Loopback is plain http, so the code is sent in both cases.
    if anonymous:
        return HubError(401, "Invalid username or password.", "RepoNotFound")
    return HubError(404, "Repository not found", "RepoNotFound")


def revision_not_found(revision: str) -> HubError:
    """Answer for a branch, tag, pull request or commit that the repo does not have."""
    return HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound")


def entry_not_found(message: str = "Entry not found", commit: str | None = None) -> HubError:
    """Answer for a path that the revision does not have; the client caches it under `commit`."""
    return HubError(404, message, "EntryNotFound", {"X-Repo-Commit": commit} if commit else {})


def gated(repo_id: str, *, anonymous: bool) -> HubError:
    """Answer to a download from a gated repo by somebody without access."""
    if anonymous:
        message = (
            f"Access to model {repo_id} is restricted. You must have access to it and be authenticated to access it."
            " Please log in."
        )
        return HubError(401, message, "GatedRepo")
    return HubError(
        403,
        f"Access to model {repo_id} is restricted and you are not in the authorized list."
        f" Visit /{repo_id} to ask for access.",
        "GatedRepo",
    )


def forbidden(message: str = "Authorization error.") -> HubError:
    """Answer to a caller who is known but may not do this."""
    return HubError(403, message)


def unauthorized(message: str = INVALID_CREDENTIALS) -> HubError:
    """Answer to a token that is missing, unknown, revoked or expired."""
    return HubError(401, message, headers={"WWW-Authenticate": 'Bearer realm="Authentication required"'})


def bad_request(message: str) -> HubError:
    """Answer to a request that is wrong in itself."""
    return HubError(400, message)


def conflict(message: str) -> HubError:
    """Answer to a creation of something that exists, or to a merge that does not apply."""
    return HubError(409, message)


def head_moved() -> HubError:
    """Answer to a commit whose parent is no longer the head of the branch."""
    return HubError(412, HEAD_MOVED)
