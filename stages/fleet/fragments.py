"""What building one model leaves for the project: a file each, written when it arrives, merged once at the end."""

import hashlib
import os
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from stages.core import files, paths
from stages.core.errors import RegistryError
from stages.fleet.lock_blocks import DVC_LOCK, Blocks, merged, model_of, read_blocks, write_blocks
from stages.fleet.workspace import Order
from stages.registry import model_list

FOLDER = Path(".dvc/tmp/fleet/fragments")
MEASURED = ("registry/benchmarks/", "registry/parity/", "registry/receipts/", "reports/")


class Fragment(Struct, frozen=True, kw_only=True):
    """The result of one model. `order` is what it was built from (`order_digest`). `blocks` are the lock's stages, as
    DVC wrote them; `files` are figures and reports by path. `failed` is the stage that failed, or what went wrong
    before any; `log` the last lines that it printed. `ran` are the stages that were executed, not restored. `record` is
    what `artificer prove` wrote, where the model was proven and not built."""

    slug: str
    order: str
    status: Literal["built", "failed"]
    host: str = ""
    where: str = ""
    seconds: float = 0
    ran: tuple[str, ...] = ()
    blocks: Blocks = {}
    files: dict[str, str] = {}
    failed: str = ""
    log: str = ""
    record: str = ""


def finished(slug: str, order: str, host: str, started: float, failed: str, **found: Any) -> Fragment:
    """The result of what this machine began at `started` (of `time.monotonic`); `failed` is empty where it did not."""
    return Fragment(
        slug=slug,
        order=order,
        status="failed" if failed else "built",
        host=host,
        where=os.uname().nodename,
        seconds=round(time.monotonic() - started, 1),
        failed=failed,
        **found,
    )


def order_digest(archive: bytes, order: Order) -> str:
    """What a model is built from, without what measuring adds: the same digest, the same build."""
    found = hashlib.sha256(hashlib.sha256(archive).digest())
    wanted = {path: data for path, data in order.files.items() if not path.startswith(MEASURED)}
    found.update(msgspec.msgpack.encode((order.slug, order.entry, wanted), order="sorted"))
    return found.hexdigest()


def collect(slug: str, root: Path) -> tuple[Blocks, dict[str, str]]:
    """The lock's stages and the files that a workspace has for the project."""
    blocks = {name: block for name, block in read_blocks(root / DVC_LOCK).items() if model_of(name) == slug}
    wanted = [root / paths.metrics(slug), root / paths.receipt(slug)]
    for folder in (paths.benchmarks(slug), paths.parity_records(slug), paths.resources(slug, "fetch").parent):
        wanted += sorted((root / folder).glob("*.json"))
    found = {path.relative_to(root).as_posix(): path.read_text(encoding="utf-8") for path in wanted if path.is_file()}
    return blocks, found


def save(fragment: Fragment, folder: Path = FOLDER) -> Path:
    """Write a fragment at once, so that an aborted driver loses nothing."""
    path = folder / f"{fragment.slug}.json"
    files.write_file(path, msgspec.json.format(msgspec.json.encode(fragment, order="sorted"), indent=1))
    return path


def load(path: Path) -> Fragment:
    """Raises RegistryError for a file that is not a fragment."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Fragment)
    except (OSError, msgspec.DecodeError) as error:
        raise RegistryError(f"{path}: expected what `build-model` writes: {error}.") from None


def load_all(folder: Path = FOLDER) -> dict[str, Fragment]:
    """Every fragment that is there, by slug; damaged ones are left out."""
    found = {}
    for path in sorted(folder.glob("*.json")):
        try:
            found[path.stem] = load(path)
        except RegistryError:
            continue
    return found


def merge(fragments: Iterable[Fragment], primary: str | None = None) -> int:
    """Take what was built into the project: one write of dvc.lock, and each file. The number of models.

    The lock holds figures of one host class, `primary` (default: the one that built most). Of another class only its
    records in registry/ are taken. Models that failed are left out. Raises RegistryError for a fragment of an unknown
    model, or with a file that is not its own.
    """
    built = [each for each in fragments if each.status == "built"]
    if not built:
        return 0
    slugs = model_list.slugs()
    primary = primary or max(Counter(sorted(each.host for each in built)).items(), key=lambda item: item[1])[0]
    new: Blocks = {}
    for fragment in built:
        if fragment.slug not in slugs or {model_of(name) for name in fragment.blocks} - {fragment.slug}:
            raise RegistryError(f"{fragment.slug}: the result is not of a model of {paths.REGISTRY}.")
        own = _own_files(fragment, records_only=fragment.host != primary)
        for path, text in own.items():
            files.write_file(Path(path), text.encode())
        if fragment.host == primary:
            new |= fragment.blocks
    if new:
        write_blocks(merged(read_blocks(), new, slugs))
    return len(built)


def _own_files(fragment: Fragment, *, records_only: bool) -> dict[str, str]:
    slug = fragment.slug
    records = (f"{paths.benchmarks(slug).as_posix()}/", f"{paths.parity_records(slug).as_posix()}/")
    others = (
        f"{paths.resources(slug, 'fetch').parent.as_posix()}/",
        paths.metrics(slug).as_posix(),
        paths.receipt(slug).as_posix(),
    )
    for path in fragment.files:
        if not path.startswith((*records, *others)) or ".." in Path(path).parts:
            raise RegistryError(f"{slug}: the result holds {path!r}, which is not a file of this model.")
    return {path: text for path, text in fragment.files.items() if not records_only or path.startswith(records)}
