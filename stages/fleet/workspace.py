"""A workspace: a copy of the project with one model in its registry, where DVC's graph is small.

It holds what a build reads (code, parameters, data sets, the model's entry, pin, figures and lock) and no git. The
same files travel to another machine as two archives: one for all models, and a small one for each.
"""

import io
import os
import shutil
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml
from msgspec import Struct

from stages.core import files, paths
from stages.core.errors import SourceError
from stages.fleet.lock_blocks import DVC_LOCK, Blocks, write_blocks
from stages.registry.model_list import ModelEntry, load_lock

COMMON = (
    "dvc.yaml", "params.yaml", "constraints.txt", ".dvcignore", ".dvc/config", "stages", "src",
    "registry/data", "registry/demo", "registry/catalog.yaml", "registry/locks/data-sets.json",
)  # fmt: skip
CONFIG = Path(".dvc/config.local")
ORDER = Path(".dvc/tmp/order")  # the digest of what it is built from
SKIPPED = ("__pycache__", ".egg-info", ".partial", ".pyc")
MOST_CHECKPOINT_BYTES = 512 * 10**6  # of a local folder, which travels with its model


class Order(Struct, frozen=True, kw_only=True):
    """What a worker needs of one model, beside the common archive: its raw entry, the text of its lock's stages, and
    its files by path."""

    slug: str
    entry: dict[str, Any]
    blocks: Blocks
    files: dict[str, bytes]
    memory_bytes: int = 0


def common_archive(root: Path = Path()) -> bytes:
    """A tar of what all models share."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", dereference=True) as archive:
        for path in _files(root, _shared(root)):
            archive.add(root / path, arcname=path.as_posix(), recursive=False, filter=_without_times)
    return stream.getvalue()


def order_of(slug: str, raw: dict[str, Any], entry: ModelEntry, blocks: Blocks) -> Order:
    """The order of one model, from the working directory. Raises RegistryError without a pin, and SourceError for a
    local checkpoint that is too large to travel."""
    lock = load_lock(slug, entry)
    wanted = [paths.lock(slug), paths.receipt(slug), paths.metrics(slug)]
    for folder in (paths.benchmarks(slug), paths.parity_records(slug), paths.resources(slug, "fetch").parent):
        wanted += sorted(folder.glob("*.json"))
    found = {path.as_posix(): path.read_bytes() for path in wanted if path.is_file()}
    local = entry.source.path
    if local is not None and not _is_shared(local):
        size = sum(file.size for file in lock.files)
        if Path(local).is_absolute() or ".." in Path(local).parts or size > MOST_CHECKPOINT_BYTES:
            raise SourceError(
                f"models.{slug}.source.path: {local} ({size / 1e6:.0f} MB) cannot travel to a workspace: expected a "
                f"folder below the project of at most {MOST_CHECKPOINT_BYTES / 1e6:.0f} MB. Put the checkpoint on the "
                f"Hub, or build it here with `dvc repro pack@{slug}`."
            )
        found |= {f"{local}/{file.path}": Path(local, file.path).read_bytes() for file in lock.files}
    return Order(slug=slug, entry=raw, blocks=blocks, files=found)


def is_ready(folder: Path, digest: str | None = None) -> bool:
    """Whether a workspace is there: whole, and of that order."""
    if not (folder / CONFIG).is_file():
        return False
    return digest is None or (folder / ORDER).read_text() == digest


def create(folder: Path, archive: bytes, order: Order, *, digest: str, dvc_config: str) -> None:
    """Write the workspace, unless it is there from an earlier attempt, whose finished stages then count."""
    if is_ready(folder, digest):
        return
    remove(folder)
    ready = folder / CONFIG
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(archive)) as found:
        found.extractall(folder, filter="data")
    for path, data in order.files.items():
        files.write_file(folder / path, data)
    text = yaml.safe_dump({"models": {order.slug: order.entry}}, sort_keys=False)
    files.write_file(folder / paths.REGISTRY, text.encode())
    for needed in (paths.benchmarks(order.slug), paths.parity_records(order.slug)):
        (folder / needed).mkdir(parents=True, exist_ok=True)
    (folder / paths.PACKAGES).mkdir(parents=True, exist_ok=True)
    write_blocks(order.blocks, folder / DVC_LOCK)
    files.write_file(folder / ORDER, digest.encode())
    files.write_file(ready, dvc_config.encode())  # last: it says that the workspace is whole
    ready.chmod(0o600)  # a remote's settings may hold a password


def remove(folder: Path) -> None:
    """Delete a workspace. The file that marks it as whole is deleted first, because a kill may leave the rest."""
    (folder / CONFIG).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def dvc_config(cache: Path | None, *, with_remote: bool = True) -> str:
    """The workspace's `.dvc/config.local`: no git, this project's remotes with absolute addresses unless nothing is to
    be sent, and the project's cache where `cache` is given."""
    from dvc.config import Config

    found = Config(str(Path(".dvc").resolve()), validate=False)
    lines = ["[core]", "    no_scm = true", "    analytics = false", "    check_update = false"]
    if with_remote and (remote := found.get("core", {}).get("remote")):
        lines.append(f"    remote = {remote}")
    if cache is not None:
        lines += ["[cache]", f"    dir = {cache.resolve()}"]
    for name, settings in found.get("remote", {}).items() if with_remote else ():
        lines.append(f"['remote \"{name}\"']")
        lines += [f"    {key} = {value}" for key, value in settings.items() if not isinstance(value, dict | list)]
    return "\n".join(lines) + "\n"


def _without_times(found: tarfile.TarInfo) -> tarfile.TarInfo:
    """The same bytes from every clone: the archive's digest tells whether a checkpoint is of the same build."""
    mode = 0o755 if found.mode & 0o100 else 0o644
    return found.replace(mtime=0, uid=0, gid=0, uname="", gname="", mode=mode, deep=False)


def _shared(root: Path) -> Iterable[Path]:
    named = [Path(name) for name in COMMON]
    # A small pipeline, as the tests have one, may name other files.
    pipeline = yaml.safe_load((root / "dvc.yaml").read_text(encoding="utf-8"))
    for stage in pipeline["stages"].values():
        for dep in stage.get("do", stage).get("deps", []):
            if "${" not in dep and not dep.startswith("artifacts/"):
                named.append(Path(dep))
    covered: list[Path] = []
    for path in sorted(set(named), key=lambda path: (len(path.parts), path)):
        if not any(path.is_relative_to(other) for other in covered):
            covered.append(path)
    return covered


def _is_shared(path: str) -> bool:
    return any(Path(path).is_relative_to(folder) for folder in paths.DATA_FOLDERS)


def _files(root: Path, named: Iterable[Path]) -> Iterator[Path]:
    for name in named:
        if (root / name).is_file():
            yield name
        for folder, subfolders, names in os.walk(root / name, followlinks=True):
            subfolders[:] = sorted(each for each in subfolders if not each.endswith(SKIPPED))
            for each in sorted(names):
                if not each.endswith(SKIPPED):
                    yield Path(folder, each).relative_to(root)
