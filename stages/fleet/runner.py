"""Build one order in a process of its own: the same on this machine and in a task of a cluster."""

import ctypes
import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
from msgspec import Struct, structs

from stages.core.files import write_file
from stages.fleet import fragments, workspace
from stages.fleet.fragments import Fragment
from stages.fleet.workspace import Order

LOG_LINES = 40
LOG = "build.log"
RESULT = "result.json"
KILLED = "killed by signal"
PR_SET_PDEATHSIG = 1


class Plan(Struct, frozen=True, kw_only=True):
    """What all models of a run share: the common archive, DVC's settings for workspaces, and the last stage, which runs
    alone with `single`. With `proves` nothing is built: the package that the lock names is proven. `links` are folders
    of the project that a workspace writes to, by their relative path. Without `keep` a workspace is removed when its
    model is built: its outputs are on the remote."""

    archive: bytes
    dvc_config: str
    target: str
    single: bool = False
    proves: bool = False
    links: dict[str, str] = {}
    keep: bool = True


def run_order(plan: Plan, order: Order, base: Path) -> Fragment:
    """Build a model in a workspace below `base`; never raises for what its process does."""
    digest = fragments.order_digest(plan.archive, order)
    folder = (base / order.slug).resolve()
    if plan.proves or plan.single:  # a workspace of an earlier run may have the lock of an earlier package
        workspace.remove(folder)
    workspace.create(folder, plan.archive, order, digest=digest, dvc_config=plan.dvc_config)
    for name, there in plan.links.items():
        if not (folder / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).symlink_to(there, target_is_directory=True)
    found = build_workspace(order.slug, folder, plan)
    if found.failed.startswith(KILLED):  # perhaps for lack of memory, by chance: it goes on after its last stage
        found = build_workspace(order.slug, folder, plan)
    if not plan.keep and found.status == "built":
        workspace.remove(folder)
    return found


def build_workspace(slug: str, folder: Path, plan: Plan) -> Fragment:
    """`build-model` in a workspace that is there, with its output in `build.log`."""
    result, log = folder / RESULT, folder / LOG
    result.unlink(missing_ok=True)
    command = [sys.executable, "-m", "stages", "build-model", slug, "--workspace", str(folder)]
    command += ["--target", plan.target, *(["--single"] if plan.single else []), *(["--prove"] if plan.proves else [])]
    with log.open("ab") as stream:
        done = subprocess.run(
            command, cwd=folder, env=_environment(folder), stdout=stream, stderr=stream, check=False,
            preexec_fn=_end_with_the_parent,
        )  # fmt: skip
    tail = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:])
    if result.is_file():
        return structs.replace(fragments.load(result), log=tail)
    killed = f"{KILLED} {-done.returncode}" if done.returncode < 0 else f"exit code {done.returncode}"
    digest = (folder / workspace.ORDER).read_text()
    return Fragment(slug=slug, order=digest, status="failed", where=os.uname().nodename, failed=killed, log=tail)


def _environment(folder: Path) -> dict[str, str]:
    """The caller's, with the workspace's code. Ray sets OMP_NUM_THREADS to the CPUs of a task, usually 1: a build uses
    the machine, unless the user limits it with ARTIFICER_OMP_NUM_THREADS."""
    found = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(folder / "src")]), "PYTHONUNBUFFERED": "1"}
    if "RAY_JOB_ID" in found or "RAY_RAYLET_PID" in found:
        found.pop("OMP_NUM_THREADS", None)
    if limit := found.get("ARTIFICER_OMP_NUM_THREADS"):
        found["OMP_NUM_THREADS"] = limit
    found.pop("DVC_STAGE", None)
    return found


def _end_with_the_parent() -> None:
    """Linux ends the process with the worker that started it, also where that is killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def write_result(found: Fragment, path: Path) -> None:
    """For whoever started the process."""
    write_file(path, msgspec.json.encode(found))
