"""Build one model in its workspace: stage by stage, each pushed and checkpointed when it has finished."""

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stages.core.errors import BuildError, first_line
from stages.core.files import write_file
from stages.fleet.checkpoints import Checkpoint, read_checkpoint, write_checkpoint
from stages.fleet.fragments import Fragment, collect, finished
from stages.fleet.freshness import Inputs, model_stages, stale_stage
from stages.fleet.lock_blocks import DVC_LOCK, read_blocks, write_blocks
from stages.running import dvc_lock_file, remote

Say = Callable[[str], None]
LOCK_COPY = Path(".dvc/tmp/last-whole-dvc.lock")
"""A copy of the workspace's dvc.lock, made after the last stage that was finished and pushed. A build starts from
it, for two reasons. DVC writes dvc.lock in place, so a kill can leave it empty or cut short. And a stage that was
not pushed before the kill is then pushed."""


@dataclass(slots=True)
class Building:
    """One build: the workspace's DVC repository, whether it has a remote, and the stages that were executed."""

    repo: Any
    slug: str
    order: str
    has_remote: bool
    ran: list[str] = field(default_factory=list)
    sent: set[str] = field(default_factory=set)  # entries of the run-cache that the remote has


def build(slug: str, target: str, order: str, *, single: bool = False, say: Say = print) -> Fragment:
    """Run what is not up to date of the model's stages up to `target`, or with `single` that stage alone, on what the
    lock names. The working directory is the model's workspace.

    Finished stages are pushed to the DVC remote, if there is one, with a checkpoint, so that a build that is killed
    goes on where it was, on any machine. A stage that fails is in the result; nothing is raised for it.
    """
    from dvc.repo import Repo

    started = time.monotonic()
    dvc_lock_file.FILE.unlink(missing_ok=True)  # of an earlier attempt that was killed: nobody else uses the workspace
    if LOCK_COPY.is_file():
        write_file(DVC_LOCK, LOCK_COPY.read_bytes())
    else:
        _copy_lock()
    with as_a_repository(), Repo() as repo:
        building = Building(repo, slug, order, has_remote=remote.is_there(repo))
        host = write_own_host()
        failed = _run(building, model_stages(target), single, say)
    blocks, found = collect(slug, Path())
    return finished(slug, order, host, started, failed, ran=tuple(building.ran), blocks=blocks, files=found)


def _run(building: Building, names: list[str], single: bool, say: Say) -> str:
    """The stage that failed with its reason, or nothing."""
    from dvc.exceptions import DvcException

    repo, slug = building.repo, building.slug
    restored = remote.watch_restored(repo)
    if building.has_remote:
        _take_up(building, say)
        remote.fetch_runs_on_demand(repo)
    stale = names[-1] if single else stale_stage(slug, names, read_blocks(), Inputs.read())
    if done := names if stale is None else names[: names.index(stale)]:
        _restore(building, done)
    for name in names[-1:] if single else names:
        address = f"{name}@{slug}"
        say(f"{address}: started")
        before = read_blocks().get(address)
        try:
            ran = repo.reproduce(address, single_item=True, pull=building.has_remote)
        except DvcException as error:
            return f"{name}: {first_line(error.__cause__ or error, with_kind=False)}"
        if ran and address not in restored:
            building.ran.append(name)
        say(f"{address}: {'done' if ran else 'up to date'}")
        if building.has_remote and read_blocks().get(address) != before:
            try:
                remote.push(repo, [address], known=building.sent)
                _leave_checkpoint(building)
            except (BuildError, OSError) as error:
                return f"{name}: {first_line(error, with_kind=False)}"
        _copy_lock()
    return ""


def _take_up(building: Building, say: Say) -> None:
    """Go on from the checkpoint of an earlier attempt, if it knows more than this workspace."""
    found = read_checkpoint(building.repo, building.slug, building.order)
    mine = {name: block for name, block in read_blocks().items() if name.endswith(f"@{building.slug}")}
    if found is None or found.blocks == mine:
        return
    say(f"{building.slug}: goes on after {len(found.ran)} stages of an earlier attempt")
    building.ran += found.ran
    for path, text in found.files.items():
        write_file(Path(path), text.encode())
    write_blocks({**read_blocks(), **found.blocks})  # last: a kill before it leaves the checkpoint to be taken up again
    _copy_lock()
    building.repo._reset()


def _copy_lock() -> None:
    if DVC_LOCK.is_file():
        write_file(LOCK_COPY, DVC_LOCK.read_bytes())


def _leave_checkpoint(building: Building) -> None:
    blocks, found = collect(building.slug, Path())
    checkpoint = Checkpoint(order=building.order, ran=tuple(building.ran), blocks=blocks, files=found)
    write_checkpoint(building.repo, building.slug, checkpoint)


def _restore(building: Building, names: list[str]) -> None:
    """The outputs of finished stages. A folder that several stages write must be whole before another reads it; what
    cannot be had is built again."""
    from dvc.exceptions import DvcException

    targets = [f"{name}@{building.slug}" for name in names]
    with contextlib.suppress(DvcException, FileNotFoundError):
        if building.has_remote:
            building.repo.pull(targets, allow_missing=True)
        else:
            building.repo.checkout(targets, allow_missing=True)


def write_own_host() -> str:
    """Into the workspace; the name of this machine's class."""
    from artificer import host
    from stages.records.host_record import write_host

    found = host.detect()
    write_host(found)
    return found.name


@contextlib.contextmanager
def as_a_repository() -> Iterator[None]:
    """What stages and DVC find in the environment: this workspace's code, this interpreter, caches of its own."""
    root = Path.cwd()
    wanted = {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        "PYTHONPATH": os.pathsep.join([str(root), str(root / "src")]),
        "DVC_SITE_CACHE_DIR": str(root / ".dvc" / "site"),
        "DVC_NO_ANALYTICS": "1",
    }
    before = {key: os.environ.get(key) for key in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for key, value in before.items():
            os.environ.pop(key, None) if value is None else os.environ.__setitem__(key, value)
