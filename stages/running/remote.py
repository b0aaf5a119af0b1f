"""What DVC's remote is sent: outputs, then the entries of the run-cache that it lacks.

`dvc push --run-cache` copies every entry again each time, and pushes the outputs of the current dvc.lock only. Here an
entry is sent once, after the objects that it names, so that whoever finds an entry finds its outputs.
"""

from dataclasses import dataclass
from typing import Any

from stages.core.errors import SourceError, first_line


@dataclass(frozen=True, slots=True)
class Sent:
    """How many objects and entries of the run-cache were copied."""

    objects: int
    entries: int


def push(repo: Any, targets: list[str] | None = None) -> Sent:
    """Send what the workspace's stages (or `targets`) have built, and new entries of the run-cache. `repo` is a
    `dvc.repo.Repo`. Raises SourceError when the remote cannot be written."""
    from dvc.exceptions import DvcException

    try:
        objects = repo.push(targets=targets)
        entries = _new_entries(repo)
        return Sent(objects + _send(repo, entries), len(entries))
    except (DvcException, OSError) as error:
        raise SourceError(f"the DVC remote cannot be written: {first_line(error, with_kind=False)}") from None


def _odb(repo: Any) -> Any:
    return repo.cloud.get_remote_odb(None, "push --run-cache", hash_name="md5-dos2unix")


def _runs(odb: Any) -> dict[str, str]:
    """Paths of the run-cache's entries in an object store, by `<key>/<value>`."""
    fs = odb.fs
    root = fs.join(odb.path, "runs")
    if not fs.exists(root):
        return {}
    return {"/".join(fs.parts(path)[-2:]): path for path in fs.find(root)}


def _new_entries(repo: Any) -> dict[str, str]:
    """Entries that are here and not on the remote."""
    here, there = _runs(repo.cache.legacy), _runs(_odb(repo))
    return {name: path for name, path in here.items() if name not in there and not name.endswith(".tmp")}


def _send(repo: Any, entries: dict[str, str]) -> int:
    """Send the objects of these entries, then the entries; how many objects were copied."""
    if not entries:
        return 0
    pairs = [tuple(name.split("/")) for name in entries]
    sent = 0
    for odb, objects in repo.stage_cache.get_used_objs(pairs).items():
        sent += len(repo.cloud.push(objects, odb=odb).transferred)
    remote = _odb(repo)
    for name, path in entries.items():
        key = name.partition("/")[0]
        target = remote.fs.join(remote.path, "runs", key[:2], *name.split("/"))
        remote.makedirs(remote.fs.parent(target))
        remote.fs.put_file(path, target)
    return sent
