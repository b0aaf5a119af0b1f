"""Stage `publish`: what passed, with its manifest, into a folder: whole or not at all."""

import errno
import shutil
from pathlib import Path

import msgspec
from msgspec import Struct

from artificer.errors import ArtificerError
from artificer.manifest import MANIFEST_FILE, FileEntry, Manifest, canonical_json, describe_file
from stages import files, paths
from stages.errors import PublishError
from stages.params import load_params
from stages.swap import exchange
from stages.variants import row


class Receipt(Struct, frozen=True, kw_only=True):
    """What was published where: registry/receipts/<slug>.json."""

    slug: str
    target: str
    repo: str
    manifest_sha256: str
    files: int
    bytes: int


def run(slug: str) -> None:
    """Publish and write the receipt. Raises PublishError; the target then holds what it held before."""
    params = load_params().publish
    package = paths.package(slug)
    manifest = Manifest.from_json((package / MANIFEST_FILE).read_bytes())
    wanted = (*manifest.published_files(), describe_file(package, MANIFEST_FILE))
    target = Path(params.folder, manifest.name)
    if published_already(target, wanted):
        print(f"{target} holds this manifest and its files already")
    else:
        _refuse_foreign_files(target)
        _publish(slug, manifest, wanted, target)
        print(f"{target}: {len(wanted)} files, {sum(e.size for e in wanted) / 1e6:.1f} MB")
    receipt = Receipt(
        slug=slug,
        target=params.target,
        repo=manifest.name,
        manifest_sha256=wanted[-1].sha256,
        files=len(wanted),
        bytes=sum(entry.size for entry in wanted),
    )
    files.write_file(paths.receipt(slug), canonical_json(receipt))


def origins(slug: str, manifest: Manifest) -> dict[str, Path]:
    """Where each published file lies now, by its published path."""
    found = {entry.path: paths.source(slug) / entry.path for entry in manifest.files}
    found |= {entry.path: paths.package(slug) / entry.path for entry in manifest.documents}
    for variant in manifest.variants:
        folder = paths.variant(slug, row(variant.id))
        found |= {entry.path: folder / entry.path.rpartition("/")[2] for entry in variant.files}
    return found | {MANIFEST_FILE: paths.package(slug) / MANIFEST_FILE}


def published_already(target: Path, wanted: tuple[FileEntry, ...]) -> bool:
    """Whether every byte of `wanted`, and nothing else, is there."""
    return target.is_dir() and files.describe_folder(target) == tuple(sorted(wanted, key=lambda entry: entry.path))


def _publish(slug: str, manifest: Manifest, wanted: tuple[FileEntry, ...], target: Path) -> None:
    origin = origins(slug, manifest)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with exchange(target) as folder:
            for entry in wanted:
                (folder / entry.path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(origin[entry.path], folder / entry.path)
                found = describe_file(folder, entry.path)
                if found != entry:
                    raise PublishError(
                        f"{origin[entry.path]}: the manifest says {entry.size} bytes, sha256 {entry.sha256}; "
                        f"found {found.size}, {found.sha256}. Nothing was published; run `dvc repro`."
                    )
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            needed = sum(entry.size for entry in wanted) / 1e6
            free = shutil.disk_usage(target.parent).free / 1e6
            problem = f"the disk is full: {needed:.0f} MB are needed, {free:.0f} MB are free"
        else:
            problem = f"{error.strerror} ({error.filename})"
        raise PublishError(f"{target}: {problem}. What was published before is untouched.") from None


def _refuse_foreign_files(target: Path) -> None:
    """A folder is replaced whole, so it may hold nothing but what a manifest of ours lists."""
    if not target.exists():
        return
    found = {p.relative_to(target).as_posix() for p in target.rglob("*") if not p.is_dir()}
    try:
        previous = Manifest.from_json((target / MANIFEST_FILE).read_bytes())
        foreign = found - {entry.path for entry in previous.published_files()} - {MANIFEST_FILE}
    except (OSError, ArtificerError):
        foreign = found
    if foreign:
        names = ", ".join(sorted(foreign)[:5])
        raise PublishError(f"{target} holds files that no manifest of ours lists ({names}). Move them, then run again.")


def load_receipt(slug: str) -> Receipt | None:
    """What `run` wrote last, or None."""
    path = paths.receipt(slug)
    return msgspec.json.decode(path.read_bytes(), type=Receipt) if path.is_file() else None
