"""What DVC's remote is sent: outputs, then the entries of the run-cache that it lacks.

`dvc push --run-cache` copies every entry again each time, and pushes the outputs of the current dvc.lock only. Here an
entry is sent once, after the objects that it names, so that whoever finds an entry finds its outputs.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.core.errors import SourceError, first_line


@dataclass(frozen=True, slots=True)
class Sent:
    """How many objects and entries of the run-cache were copied."""

    objects: int
    entries: int


def push(repo: Any, targets: list[str] | None = None, known: set[str] | None = None) -> Sent:
    """Send what the workspace's stages (or `targets`) have built, and new entries of the run-cache. `repo` is a
    `dvc.repo.Repo`. `known` are entries that the remote has, and grows by those that are sent; without it, the remote
    is asked for the list. Raises SourceError when the remote cannot be written."""
    from dvc.exceptions import DvcException

    try:
        objects = repo.push(targets=targets)
        entries = _new_entries(repo, known)
        if known is not None:
            known |= entries.keys()
        return Sent(objects + _send(repo, entries), len(entries))
    except (DvcException, OSError) as error:
        raise SourceError(f"the DVC remote cannot be written: {first_line(error, with_kind=False)}") from None


def is_there(repo: Any) -> bool:
    """Whether the project has a default remote."""
    from dvc.exceptions import DvcException

    try:
        object_store(repo)
    except DvcException:
        return False
    return True


def object_store(repo: Any) -> Any:
    """The remote's object store: its file system `fs`, and its root `path`."""
    return repo.cloud.get_remote_odb(None, "push", hash_name="md5-dos2unix")


def fetch_runs_on_demand(repo: Any) -> None:
    """Let `repo.reproduce(pull=True)` ask the remote for the entries of the stage at hand; DVC fetches all entries of
    the run-cache each time, of a thousand models ten thousand files."""
    from dvc.stage.cache import _can_hash, _get_stage_hash

    cache = repo.stage_cache
    load = cache._load

    def _load(stage: Any) -> Any:
        if _can_hash(stage):
            _fetch_entries(repo, _get_stage_hash(stage))
        return load(stage)

    cache._load = _load
    cache.pull = lambda *_, **__: []


def watch_restored(repo: Any) -> set[str]:
    """Addresses of stages whose outputs DVC restored in place of running them; filled as it goes on."""
    restored: set[str] = set()
    restore = repo.stage_cache.restore

    def _restore(stage: Any, **options: Any) -> None:
        restore(stage, **options)
        restored.add(stage.addressing)

    repo.stage_cache.restore = _restore
    return restored


def _fetch_entries(repo: Any, key: str) -> None:
    odb = object_store(repo)
    folder = odb.fs.join(odb.path, "runs", key[:2], key)
    if not odb.fs.exists(folder):
        return
    for path in odb.fs.find(folder):
        target = Path(repo.cache.legacy.path, "runs", key[:2], key, odb.fs.name(path))
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            odb.fs.get_file(path, str(target))


def _runs(odb: Any) -> dict[str, str]:
    """Paths of the run-cache's entries in an object store, by `<key>/<value>`."""
    fs = odb.fs
    root = fs.join(odb.path, "runs")
    if not fs.exists(root):
        return {}
    return {"/".join(fs.parts(path)[-2:]): path for path in fs.find(root)}


def _new_entries(repo: Any, known: set[str] | None) -> dict[str, str]:
    """Entries that are here and not on the remote."""
    here, there = _runs(repo.cache.legacy), known if known is not None else _runs(object_store(repo))
    return {name: path for name, path in here.items() if name not in there and not name.endswith(".tmp")}


def _send(repo: Any, entries: dict[str, str]) -> int:
    """Send the objects of these entries, then the entries; how many objects were copied."""
    if not entries:
        return 0
    pairs = [tuple(name.split("/")) for name in entries]
    sent = 0
    for odb, objects in repo.stage_cache.get_used_objs(pairs).items():
        sent += len(repo.cloud.push(objects, odb=odb).transferred)
    remote = object_store(repo)
    for name, path in entries.items():
        key = name.partition("/")[0]
        target = remote.fs.join(remote.path, "runs", key[:2], *name.split("/"))
        remote.makedirs(remote.fs.parent(target))
        remote.fs.put_file(path, target)
    return sent
