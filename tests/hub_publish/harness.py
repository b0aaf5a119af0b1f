"""Seeded publishes with a fault in each: what the repo holds afterwards, and after a rerun without the fault.

`benchmarks/publish_faults.py` runs hundreds and prints the table; a test runs one of each kind.
"""

import contextlib
import io
import os
import random
import subprocess
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.cli import main
from tests.hub_publish import tiny
from tools.loopback_hub import Fault, Hub, Store, Target

FOREIGN = {"NOTES.md": b"somebody else's\n"}
OURS = "onnx/model.onnx"
THEIRS = b"\0changed by somebody else"


@dataclass(frozen=True)
class Outcome:
    """One run. `after` and `rerun` are `old`, `new`, or what else the repo held; `commits` counts ours."""

    kind: str
    seed: int
    first: bool
    pull_request: bool
    fired: int
    exit_code: int
    after: str
    rerun: str
    commits: int
    receipt_is_true: bool
    text: str


Arm = Callable[[random.Random], Fault]


def _any(kind: str, requests: int = 18, **options: Any) -> Arm:
    """A fault at any request of a publish."""
    return lambda chance: Fault(kind, "*", after=chance.randrange(requests), **options)  # type: ignore[arg-type]


def _upload(kind: str, **options: Any) -> Arm:
    return lambda chance: Fault(
        kind,  # type: ignore[arg-type]
        "lfs_upload",
        after=chance.randrange(2),
        at_byte=chance.randrange(4000),
        **options,
    )


def _change_ours(store: Store, target: Target) -> None:
    """Somebody changes a file of ours just before our commit."""
    store.commit(target.repo_id, {OURS: THEIRS}, message="Theirs", revision=target.revision)


# What can go wrong, by name. `at any request`: reads before and after the commit, uploads, and the commit itself.
KINDS: dict[str, Arm] = {
    "429 without Retry-After, at any request": _any("status", status=429),
    "429 with Retry-After, at any request": _any("status", status=429, retry_after=7),
    "5xx at any request": lambda c: Fault("status", "*", status=c.choice((500, 502, 503, 504)), after=c.randrange(18)),
    "5xx before the commit, again and again": lambda _: Fault("status", "commit", status=503, times=None),
    "5xx after the commit landed": lambda c: Fault("status_after", "commit", status=c.choice((500, 502, 504))),
    "reset at any request": _any("reset"),
    "reset after the commit landed": lambda _: Fault("reset_after", "commit"),
    "412: somebody else's file": lambda c: Fault("foreign_commit", "commit", times=c.choice((1, 2))),
    "412: our file changed": lambda _: Fault("foreign_commit", "commit", hook=_change_ours),
    "cut upload": _upload("cut_upload"),
    "cut upload, again and again": _upload("cut_upload", times=None),
    "corrupted upload, seen by the storage": _upload("corrupt_upload", detected_by="storage"),
    "corrupted upload, seen by verify": _upload("corrupt_upload", detected_by="verify"),
    "corrupted upload, seen by nobody": _upload("corrupt_upload", detected_by="nobody"),
    "corrupted commit": lambda c: Fault("corrupt_upload", "commit", at_byte=c.randrange(6000)),
    "corrupted answer, at any request": lambda c: Fault(
        "corrupt_download", "*", at_byte=c.randrange(1500), after=c.randrange(18)
    ),
    "cut answer, at any request": lambda c: Fault("cut_download", "*", at_byte=0, after=c.randrange(18)),
    "token expires, at any request": _any("expired_token", times=None),
    "kill -9, at any request": _any("call"),
    "kill -9 after any request was served": _any("call_after"),
    "kill -9 after the commit landed": lambda _: Fault("call_after", "commit"),
}


def run(hub: Hub, folder: Path, kind: str, seed: int) -> Outcome:
    """One publish with a fault of `kind`, then one without."""
    chance = random.Random(f"{kind} {seed}")
    first = chance.random() < 0.3
    pull_request = chance.random() < 0.25
    number = zlib.crc32(f"{kind} {seed}".encode())  # storage is shared by all repos: each run needs bytes of its own
    repo = f"acme/run-{number}"
    root = tiny.make_project(folder, publish={"repo": repo, "pull_request": pull_request})
    hub.faults.clear()
    old: dict[str, bytes] = {}
    if pull_request or not first:
        hub.store.create_repo(repo, private=True)
        hub.store.commit(repo, FOREIGN, message="Somebody else's")
        old = dict(FOREIGN)
    if not first:
        published = tiny.build(root, repo=repo, variants=("onnx", "onnx-O1"), seeds={"onnx": number})
        old |= tiny.contents(root, published)
        hub.store.commit(repo, tiny.contents(root, published), message="An earlier publish")
    before = hub.store.head(repo) if old else None
    manifest = tiny.build(root, repo=repo, seeds=dict.fromkeys(("onnx", "onnx-O3", "openvino", "source"), number + 1))
    new = (FOREIGN if old else {}) | tiny.contents(root, manifest)
    fault = hub.faults.add(KINDS[kind](chance))
    code, text = _killed(hub, root, fault) if kind.startswith("kill") else _publish(root)
    hub.faults.clear()
    after = _state(hub, repo, pull_request, old, new)
    receipt = (root / "registry" / "receipts" / "tiny.json").exists()
    commits = _commits(hub, repo, before, pull_request)
    _, again = _publish(root)
    return Outcome(
        kind=kind,
        seed=seed,
        first=first,
        pull_request=pull_request,
        fired=fault.fired,
        exit_code=code,
        after=after,
        rerun=_state(hub, repo, pull_request, old, new),
        commits=commits,
        receipt_is_true=not receipt or after == "new",
        text=text + again,
    )


def _publish(root: Path) -> tuple[int, str]:
    printed = io.StringIO()
    with contextlib.chdir(root), contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        code = main(["publish", tiny.SLUG])
    return code, printed.getvalue()


def _killed(hub: Hub, root: Path, fault: Fault) -> tuple[int, str]:
    """Publish in a process that the fault kills. A fresh one: a fork of a process with threads may hang on a lock."""
    environment = {**os.environ, **hub.client_env(root.parent / "home", hub.tokens.write)}
    environment["PYTHONPATH"] = os.pathsep.join(str(path) for path in (tiny.REPOSITORY / "src", tiny.REPOSITORY))
    command = [sys.executable, "-m", "stages", "publish", tiny.SLUG]
    child = subprocess.Popen(
        command, cwd=root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    fault.action = child.kill
    text, _ = child.communicate()
    return child.returncode, text


def _state(hub: Hub, repo: str, pull_request: bool, old: dict[str, bytes], new: dict[str, bytes]) -> str:
    """What the branch (or, once there is one, the pull request) holds, the Hub's own and the faults' files apart."""
    try:
        found = hub.store.repo(repo)
    except Exception:
        return "old" if not old else "the repo is missing"
    revision = "main"
    if pull_request and found.discussions:
        if len(found.discussions) > 1:
            return f"{len(found.discussions)} pull requests"
        revision = found.discussions[0].ref
    files = hub.store.files(repo, revision)
    held = {path: hub.store.objects.read(entry) for path, entry in files.items()}
    held = {path: data for path, data in held.items() if path not in (".gitattributes", "FOREIGN.md")}
    if held == new:
        return "new"
    if held.get(OURS) == THEIRS:  # the fault's own change to the old state
        held[OURS] = old.get(OURS, THEIRS)
        old = old if OURS in old else {**old, OURS: THEIRS}
    if held == old:
        return "old"
    wrong = sorted(path for path in held.keys() | new.keys() if held.get(path) != new.get(path))
    return f"other: {', '.join(wrong)} not as in the new state"


def _commits(hub: Hub, repo: str, before: str | None, pull_request: bool) -> int:
    """How many commits of ours landed on the branch or pull request."""
    try:
        found = hub.store.repo(repo)
    except Exception:
        return 0
    revision = found.discussions[0].ref if pull_request and found.discussions else "main"
    count = 0
    for oid, commit in hub.store.log(found, hub.store.head(repo, revision)):
        if oid == before:
            break
        count += commit.title.startswith("Artificer:")
    return count
