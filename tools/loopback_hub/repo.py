"""The state of a repo: settings, refs, discussions; and the commits that its refs point to."""

import re
from dataclasses import dataclass, field
from typing import Any, Literal

from .objects import Entry

RepoType = Literal["model", "dataset"]
Gate = Literal[False, "auto", "manual"]
DiscussionStatus = Literal["draft", "open", "closed", "merged"]

MAIN = "refs/heads/main"

_REPO_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")


@dataclass(frozen=True)
class Commit:
    """A commit; its id is the sha1 of its canonical JSON."""

    author: str
    date: str
    message: str
    parents: tuple[str, ...]
    tree: str

    @property
    def title(self) -> str:
        """The first line of the message."""
        return self.message.split("\n", 1)[0]

    @property
    def body(self) -> str:
        """What follows the first line of the message."""
        return self.message.partition("\n")[2].strip()


@dataclass(frozen=True)
class Put:
    """A change of a commit: the file at `path` becomes `entry`."""

    path: str
    entry: Entry


@dataclass(frozen=True)
class Remove:
    """A change of a commit: the file or folder at `path` goes."""

    path: str
    folder: bool = False


Change = Put | Remove


@dataclass(kw_only=True)
class Discussion:
    """A discussion or a pull request; `base` is the commit that a pull request started from."""

    num: int
    title: str
    author: str
    created: str
    is_pull_request: bool
    status: DiscussionStatus
    base: str | None = None
    merged: str | None = None
    events: list[dict[str, Any]] = field(default_factory=list)

    @property
    def ref(self) -> str:
        """The ref that a pull request's commits go to."""
        return f"refs/pr/{self.num}"


@dataclass(kw_only=True)
class Repo:
    """A repo; everything that changes is in here, so that one atomic write moves all of it."""

    id: str
    type: RepoType
    created: str
    private: bool = False
    gated: Gate = False
    granted: list[str] = field(default_factory=list)
    refs: dict[str, str] = field(default_factory=dict)
    discussions: list[Discussion] = field(default_factory=list)

    @property
    def namespace(self) -> str:
        """The user or organisation that owns the repo."""
        return self.id.split("/")[0]

    @property
    def path(self) -> str:
        """The path of the repo's page, without the leading slash."""
        return self.id if self.type == "model" else f"{self.type}s/{self.id}"


def valid_repo_id(repo_id: str) -> bool:
    """Tell whether `repo_id` is a namespace and a name that cannot leave their folder."""
    return bool(_REPO_ID.fullmatch(repo_id)) and ".." not in repo_id and not repo_id.endswith(".git")


def ref_name(revision: str) -> str:
    """Return the ref that a revision names, taking a bare name for a branch."""
    return revision if revision.startswith("refs/") else f"refs/heads/{revision}"


def safe_path(path: str) -> bool:
    """Tell whether git would accept `path` in a tree."""
    parts = path.split("/")
    return all(part not in ("", ".", "..", ".git") for part in parts) and "\\" not in path and "\0" not in path
