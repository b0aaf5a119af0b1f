"""What the tests of the loopback Hub share: small files, commits with the real client, and what came back."""

import hashlib
import random
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import HfHubHTTPError

from stages.hub import http_library
from tools.loopback_hub import Hub, Store

LOST = http_library.no_answer()
"""What the client raises when a connection breaks or an answer does not come, by the HTTP library below it."""
TRIES_AGAIN = version("huggingface_hub").split(".")[0] != "0"
"""Since 1.0 the client itself repeats requests after 5xx, and resumes a download that was cut."""
ROOT = Path(__file__).resolve().parents[2]


def noise(size: int, seed: int = 0) -> bytes:
    """Return bytes that do not compress and are the same in every run."""
    return random.Random(seed).randbytes(size)


def sha256(data: bytes) -> str:
    """Return the hex sha256."""
    return hashlib.sha256(data).hexdigest()


def add(path: str, data: bytes) -> CommitOperationAdd:
    """Return an operation that adds a file."""
    return CommitOperationAdd(path, data)


def commit(api: HfApi, *operations: Any, **options: Any) -> Any:
    """Commit to acme/model, by default a new small file."""
    options = {"repo_id": "acme/model", "commit_message": "Publish", **options}
    return api.create_commit(operations=operations or [add("new.txt", b"new\n")], **options)


def response_to(error: HfHubHTTPError) -> Any:
    """Return the response behind an error, an object of the HTTP library that the client uses."""
    assert error.response is not None
    return error.response


def status_of(error: HfHubHTTPError) -> int:
    """Return the HTTP status behind an error."""
    return int(response_to(error).status_code)


def contents(store: Store, revision: str = "main") -> dict[str, bytes]:
    """Return all files of acme/model but .gitattributes."""
    files = store.files("acme/model", revision)
    return {path: store.objects.read(entry) for path, entry in files.items() if path != ".gitattributes"}


def run_client(hub: Hub, home: Path, script: str, *arguments: str, token: bool = True) -> str:
    """Run a script in a process of its own that knows the Hub from its environment only."""
    environment = hub.client_env(home, hub.tokens.write if token else None)
    prelude = "from tools.loopback_hub import forbid_foreign_sockets\nforbid_foreign_sockets()\n"
    done = subprocess.run(
        [sys.executable, "-c", prelude + script, *arguments],
        cwd=ROOT,
        env={"PATH": "", "PYTHONPATH": str(ROOT), "HOME": str(home), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
