"""Publish into a folder: a new one takes the old one's place, whole or not at all."""

import errno
import shutil
from pathlib import Path

from artificer.errors import ArtificerError
from artificer.manifest import MANIFEST_FILE, SIGNATURE_FILE, FileEntry, Manifest, describe_file
from stages.core import files, paths
from stages.core.capacity import require_disk
from stages.core.copying import copy_file, shares_blocks
from stages.core.errors import PublishError
from stages.core.params import load_params
from stages.publishing.folder_exchange import exchange
from stages.publishing.package import Package
from stages.records.receipts import Receipt

TARGET = "folder"


def publish(package: Package, *, dry_run: bool, overwrite: bool) -> Receipt | None:
    """Publish to `<publish.folder>/<repo>`, or say what would be done. Raises PublishError; the target is then as it
    was. `overwrite` also replaces a folder that holds other files than ours."""
    target = Path(load_params().publish.folder, package.repo)
    size = f"{len(package.files)} files, {package.bytes / 1e6:.1f} MB"
    if published_already(target, package.files):
        print(f"{target} holds this manifest and its files already")
    else:
        if target.exists() and not target.is_dir():
            raise PublishError(f"{target}: expected a folder or nothing, found a file. Move it, then run again.")
        if not overwrite:
            _refuse_foreign_files(target, package.slug)
        if dry_run:
            print(f"{target}: would {'replace' if target.exists() else 'write'} {size}")
        else:
            _publish(package, target)
            print(f"{target}: {size}")
    if dry_run:
        return None
    return Receipt(
        slug=package.slug,
        target=TARGET,
        repo=package.repo,
        manifest_sha256=package.manifest_sha256,
        signature_sha256=package.signature_sha256,
        files=len(package.files),
        bytes=package.bytes,
    )


def held_signature(package: Package) -> bytes | None:
    """The signature that lies where the package goes, or None."""
    path = Path(load_params().publish.folder, package.repo, SIGNATURE_FILE)
    return path.read_bytes() if path.is_file() else None


def published_already(target: Path, wanted: tuple[FileEntry, ...]) -> bool:
    """Whether every byte of `wanted`, and nothing else, is there."""
    if not target.is_dir():
        return False
    sizes = {p.relative_to(target).as_posix(): p.stat().st_size for p in target.rglob("*") if p.is_file()}
    if sizes != {entry.path: entry.size for entry in wanted}:
        return False  # told apart without reading gigabytes
    return files.describe_folder(target) == tuple(sorted(wanted, key=lambda entry: entry.path))


def _publish(package: Package, target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with exchange(target) as folder:
            if not shares_blocks(folder):
                require_disk(folder, package.bytes, f"publishing {package.slug} to {target}", copies=1)
            for entry in package.files:
                (folder / entry.path).parent.mkdir(parents=True, exist_ok=True)
                copy_file(package.origins[entry.path], folder / entry.path)
                package.check(entry.path, describe_file(folder, entry.path))
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            free = shutil.disk_usage(target.parent).free / 1e6
            problem = f"the disk is full: {package.bytes / 1e6:.0f} MB are needed, {free:.0f} MB are free"
        else:
            problem = f"{error.strerror} ({error.filename})"
        raise PublishError(f"{target}: {problem}. What was published before is untouched.") from None


def _refuse_foreign_files(target: Path, slug: str) -> None:
    """A folder is replaced whole, so it may hold nothing but what a manifest of ours lists."""
    if not target.exists():
        return
    found = {p.relative_to(target).as_posix() for p in target.rglob("*") if not p.is_dir()}
    try:
        previous = Manifest.from_json((target / MANIFEST_FILE).read_bytes())
        if previous.slug != slug:
            raise PublishError(
                f"{target} holds the model {previous.slug!r}, not {slug!r}: two entries publish to one repo. Give "
                f"one of them another `publish.repo` in {paths.REGISTRY}."
            )
        ours = {entry.path for entry in previous.published_files()} | {MANIFEST_FILE, SIGNATURE_FILE}
        foreign = found - ours
    except (OSError, ArtificerError):
        foreign = found
    if foreign:
        names = ", ".join(sorted(foreign)[:5])
        raise PublishError(
            f"{target} holds files that no Artificer manifest lists ({names}). Move them, then run again."
        )
