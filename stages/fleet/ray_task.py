"""What runs on a machine of a Ray cluster. It travels to the worker by value and imports the standard library alone:
the worker's Python needs the build packages, and nothing of this project, which comes with the archive.
"""

import hashlib
import io
import os
import signal
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any


def build(plan: bytes, order: bytes, archive: bytes, slug: str, board: Any) -> bytes:
    """Build one model; the result as `Fragment`'s JSON. `plan` and `order` are msgpack, for
    `stages.fleet.order_process`; `archive` holds the code."""
    if board is not None:
        board.started.remote(slug, os.uname().nodename, os.getpid())
    base = Path(os.environ.get("ARTIFICER_FLEET_SCRATCH") or tempfile.gettempdir(), f"artificer-fleet-{os.getuid()}")
    run = base / hashlib.sha256(archive).hexdigest()[:16]
    code = _code(run, archive)
    paths = {name: run / f"{slug}.{name}" for name in ("plan", "order", "result")}
    shared = run / "archive.tar"
    paths["plan"].write_bytes(plan)
    paths["order"].write_bytes(order)
    paths["result"].unlink(missing_ok=True)
    arguments = [*map(str, (paths["plan"], paths["order"], shared, run / "workspaces", paths["result"]))]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(code), str(code / "src")])}
    done = subprocess.run(
        [sys.executable, "-m", "stages.fleet.order_process", *arguments],
        cwd=code,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        preexec_fn=_end_with_the_parent,
    )
    if not paths["result"].is_file():
        raise RuntimeError(f"the worker ended with {done.returncode}: {done.stdout.decode(errors='replace')[-2000:]}")
    return paths["result"].read_bytes()


class Board:
    """An actor that knows which model is built where."""

    def __init__(self) -> None:
        self.running: dict[str, tuple[str, int]] = {}

    def started(self, slug: str, where: str, pid: int) -> None:
        """Of a task."""
        self.running[slug] = (where, pid)

    def read(self) -> dict[str, tuple[str, int]]:
        """Of the driver."""
        return self.running


def _code(run: Path, archive: bytes) -> Path:
    """The project's files, unpacked once for each machine."""
    code = run / "code"
    if not code.is_dir():
        run.mkdir(parents=True, exist_ok=True)
        unpacked = Path(tempfile.mkdtemp(dir=run))
        partial = unpacked / "archive.tar"
        partial.write_bytes(archive)
        partial.rename(run / "archive.tar")
        with tarfile.open(fileobj=io.BytesIO(archive)) as found:
            found.extractall(unpacked, filter="data")
        try:
            unpacked.rename(code)
        except OSError:  # another task of this machine was first
            if not code.is_dir():
                raise
    return code


def _end_with_the_parent() -> None:
    """Linux ends the process with the worker, also where Ray kills that."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
