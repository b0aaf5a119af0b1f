"""Faults that a test arms: which request fails, how, and how often."""

import threading
from collections.abc import Callable, Collection
from dataclasses import KW_ONLY, dataclass, field
from fnmatch import fnmatchcase
from typing import Literal, get_args

from .log import Record
from .repo import RepoType
from .store import Store

FaultKind = Literal[
    "status",  # answer `status` and do nothing
    "status_after",  # do it, then answer `status`
    "reset",  # reset the connection and do nothing
    "reset_after",  # do it, then reset the connection
    "foreign_commit",  # somebody else's commit lands just before
    "cut_upload",  # reset the connection after `at_byte` bytes of the request's body
    "corrupt_upload",  # flip a bit of the request's body at `at_byte`; see `detected_by`
    "cut_download",  # close the connection after `at_byte` bytes of the response's body
    "stall_download",  # send no more after `at_byte` bytes, until the client gives up
    "corrupt_download",  # flip a bit of the response's body at `at_byte`
    "expired_token",  # refuse the token of every request that carries one
    "slow",  # wait `delay` seconds, then do it
    "call",  # call `action` (it may kill the client, or wait for the test), then do it
    "call_after",  # do it, call `action`, then answer
]

Detector = Literal["storage", "verify", "nobody"]

# Storage addresses are signed: no token is looked at there, so none expires.
STORAGE_ROUTES = frozenset({"lfs_upload", "lfs_part", "lfs_complete", "download"})


@dataclass(frozen=True)
class Target:
    """What a commit request is about to change."""

    repo_id: str
    repo_type: RepoType
    revision: str


Hook = Callable[[Store, Target], object]


def land_foreign_commit(store: Store, target: Target) -> None:
    """Commit a file that is not ours to the branch that is about to be committed to."""
    store.commit(
        target.repo_id,
        {"FOREIGN.md": f"After {store.head(target.repo_id, target.revision, repo_type=target.repo_type)}\n".encode()},
        message="Somebody else's commit",
        revision=target.revision,
        repo_type=target.repo_type,
    )


@dataclass
class Fault:
    """A rule: matching requests after the first `after` suffer `kind`, `times` times (`None`: for ever).

    `route` is a route's name or a pattern of names (`lfs_*`), `path` a pattern of the request's path.
    A corrupted upload is `detected_by` the storage (which refuses it), by the verify action (the storage acknowledges
    it and keeps nothing), or by nobody: then the damaged bytes are stored under the announced sha256.
    """

    kind: FaultKind
    route: str = "*"
    _: KW_ONLY
    method: str | None = None
    path: str = "*"
    times: int | None = 1
    after: int = 0
    status: int = 503
    message: str | None = None
    error_code: str | None = None
    retry_after: int | None = None
    at_byte: int | None = None
    detected_by: Detector = "storage"
    delay: float = 0.2
    hook: Hook = land_foreign_commit
    action: Callable[[], object] = lambda: None
    seen: int = field(default=0, init=False)
    fired: int = field(default=0, init=False)

    def matches(self, record: Record) -> bool:
        """Tell whether this rule is about the request."""
        return (
            fnmatchcase(record.route, self.route)
            and fnmatchcase(record.path, self.path)
            and self.method in (None, record.method)
            and (self.kind != "expired_token" or (record.user is not None and record.route not in STORAGE_ROUTES))
            and not (self.kind.endswith("_download") and record.method == "HEAD")
        )

    @property
    def spent(self) -> bool:
        """Whether the rule has fired as often as it may."""
        return self.times is not None and self.fired >= self.times


class Faults:
    """The rules that are armed, in order: the first that is due takes the request."""

    def __init__(self, routes: Collection[str]) -> None:
        self._routes = frozenset(routes)
        self._rules: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> Fault:
        """Arm a fault; an unknown kind or a route that cannot match is an error, or the test would prove nothing."""
        if fault.kind not in get_args(FaultKind):
            raise ValueError(f"unknown fault {fault.kind!r}, known are {', '.join(get_args(FaultKind))}")
        if not any(fnmatchcase(route, fault.route) for route in self._routes):
            raise ValueError(f"no route matches {fault.route!r}, known are {', '.join(sorted(self._routes))}")
        with self._lock:
            self._rules.append(fault)
        return fault

    def clear(self) -> None:
        """Disarm everything."""
        with self._lock:
            self._rules.clear()

    @property
    def armed(self) -> list[Fault]:
        """The rules that would still fire."""
        return [fault for fault in self._rules if not fault.spent]

    def take(self, record: Record) -> Fault | None:
        """Return the fault that strikes this request, if one does, and count it."""
        struck: Fault | None = None
        with self._lock:
            for fault in self._rules:
                if not fault.matches(record):
                    continue
                fault.seen += 1
                if struck is None and fault.seen > fault.after and not fault.spent:
                    fault.fired += 1
                    struck = fault
        return struck
