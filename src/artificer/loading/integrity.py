"""Whether the files of a published folder are those of its manifest, checked before a runtime opens one.

Hashing 1 GB takes a second or two, so the *verification cache* remembers what was hashed: size, mtime, ctime, inode and
device of each file, and the SHA-256 of the manifest that it was checked against. Anything that differs is hashed again.
It is in the package's cache, not in the published folder, which may be read-only or shared.
"""

import hashlib
import os
import stat
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Literal

import msgspec

from artificer.backends import BACKENDS, backend_problem
from artificer.errors import IntegrityError
from artificer.manifest import FileEntry, Variant, unsafe_path_reason
from artificer.manifest.versions import UNREADABLE
from artificer.storage.atomic_write import write_whole

Verify = Literal["cached", "full"]
_RACY_NS = 100_000_000  # a file that changed this recently could change again without another timestamp

Identity = tuple[int, int, int, int, int]


class Verification(msgspec.Struct, frozen=True):
    """What was verified: the manifest's SHA-256, and for each path the identity of the file with the right bytes."""

    manifest: str
    files: dict[str, Identity]


def verify_files(
    root: Path,
    entries: Iterable[FileEntry],
    *,
    manifest_sha256: str,
    verification_cache: Path | None,
    mode: Verify = "cached",
) -> int:
    """Check that each entry is a plain file below `root` with the right size and bytes; return how many were hashed.

    Args:
        manifest_sha256: the hash of the manifest's own bytes; a record for another manifest does not count.
        verification_cache: the folder of the verification cache; None keeps none.
        mode: `full` hashes everything whatever the verification cache says.

    Raises:
        IntegrityError: naming each file that is missing, linked, of another size or of other bytes.
    """
    place = (
        verification_cache / f"{hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:32]}.json"
        if verification_cache
        else None
    )
    known = _read_verification(place, manifest_sha256)
    problems: list[str] = []
    good: dict[str, Identity] = {}
    hashed = 0
    for entry in entries:
        identity = known.get(entry.path) if mode == "cached" else None
        try:
            found, was_hashed = _check(root, entry, identity)
        except IntegrityError as error:
            problems.append(str(error))
            continue
        hashed += was_hashed
        if found is not None:
            good[entry.path] = found
    if problems:
        raise IntegrityError(
            f"{root}: {len(problems)} file(s) are not what the manifest says:\n  "
            + "\n  ".join(problems)
            + "\nNothing was opened. Fetch or publish the folder again."
        )
    if place and hashed:
        _write_verification(place, Verification(manifest=manifest_sha256, files={**known, **good}))
    return hashed


def check_sidecars(root: Path, variant: Variant) -> None:
    """Check that the files that a runtime would open beside the graph are exactly the variant's others, and long enough
    for what the graph reads from them.

    The backend says which they are (`Backend.sidecars`). Sizes are the manifest's, which `verify_files` has compared
    with the files.

    Raises:
        IntegrityError: naming the file.
    """
    assert variant.graph is not None
    sizes = {entry.path: entry.size for entry in variant.files if entry.path != variant.graph}
    wanted = _sidecars(root, variant.graph, variant)
    for path, (location, needed) in wanted.items():
        if path not in sizes:
            raise IntegrityError(
                f"{variant.graph} refers to external data at {location!r}, which the manifest does not list for"
                f" {variant.id}."
            )
        if sizes[path] < needed:
            raise IntegrityError(
                f"{variant.graph} reads {needed} bytes of {location!r}, which has {sizes[path]}: the sidecar is cut"
                " off, or belongs to another graph. Publish the model again."
            )
    if unused := sorted(sizes.keys() - wanted.keys()):
        raise IntegrityError(
            f"{variant.graph} does not refer to {', '.join(unused)}, which the manifest lists for {variant.id}: graph"
            " and sidecars do not belong together. Publish the model again."
        )


def _sidecars(root: Path, graph: str, variant: Variant) -> dict[str, tuple[str, int]]:
    """By path below `root`, the files that the backend opens beside the graph: the name there, and the bytes needed."""
    if (problem := backend_problem(variant.runtime)) is not None:
        raise IntegrityError(f"The files beside {graph} cannot be checked: {problem}. Upgrade the artificer package.")
    place = PurePosixPath(graph)
    found: dict[str, tuple[str, int]] = {}
    for location, needed in BACKENDS[variant.runtime].sidecars(root / graph).items():
        reason = unsafe_path_reason(location)
        if reason:
            raise IntegrityError(f"{graph} refers to external data at {location!r}, refused: {reason}.")
        found[str(place.parent / location)] = location, needed
    return found


def extra_files(root: Path, paths: Iterable[str]) -> list[str]:
    """Files below `root` that are not among `paths`, sorted. They are never opened, so they are not an error."""
    known = set(paths)
    found = (path.relative_to(root).as_posix() for path in root.rglob("*") if not path.is_dir())
    return sorted(path for path in found if path not in known)


def open_plain(root: Path, path: str) -> int:
    """A descriptor of `root / path`, which must be a regular file reached through no link.

    Raises:
        IntegrityError: the path is unsafe, leads through a link, or leads to no regular file.
    """
    reason = unsafe_path_reason(path)
    if reason:
        raise IntegrityError(f"{path!r}: refused: {reason}")
    place = root
    try:
        for part in PurePosixPath(path).parts:
            place = place / part
            if place.is_symlink():
                linked = place.relative_to(root).as_posix()
                raise IntegrityError(f"{path}: {linked} is a link; expected plain files{dvc_remedy(place)}")
        descriptor = os.open(place, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0))
    except FileNotFoundError:
        raise IntegrityError(f"{path}: missing") from None
    except OSError as error:
        raise IntegrityError(f"{path}: cannot be opened: {error.strerror}") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise IntegrityError(f"{path}: not a regular file")
    return descriptor


def dvc_remedy(link: Path) -> str:
    """What to do about a link into a cache of DVC; empty for another link."""
    if "/files/md5/" not in Path(os.readlink(link)).as_posix():  # noqa: PTH115  # Path.readlink on Windows adds a prefix
        return ""
    return ": DVC made it: `dvc config cache.type reflink,copy`, then `dvc checkout --relink`"


def _check(root: Path, entry: FileEntry, known: Identity | None) -> tuple[Identity | None, bool]:
    """The identity to remember (None when the file is too new to be sure), and whether it was hashed."""
    descriptor = open_plain(root, entry.path)
    with os.fdopen(descriptor, "rb") as stream:
        before = _identity(os.fstat(descriptor))
        if before[0] != entry.size:
            raise IntegrityError(f"{entry.path}: expected {entry.size} bytes, found {before[0]}")
        if before == known:
            return before, False
        actual = hashlib.file_digest(stream, "sha256").hexdigest()
        after = _identity(os.fstat(descriptor))
    if actual != entry.sha256:
        raise IntegrityError(
            f"{entry.path}: expected sha256 {entry.sha256}, found {actual}: a damaged or replaced file"
        )
    if before != after:
        raise IntegrityError(f"{entry.path}: it changed while it was read")
    racy = time.time_ns() - max(after[1], after[2]) < _RACY_NS
    return (None if racy else after), True


def _identity(status: os.stat_result) -> Identity:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev


def _read_verification(place: Path | None, manifest_sha256: str) -> dict[str, Identity]:
    if place is None:
        return {}
    try:
        verification = msgspec.json.decode(place.read_bytes(), type=Verification)
    except (OSError, *UNREADABLE):
        return {}
    return verification.files if verification.manifest == manifest_sha256 else {}


def _write_verification(place: Path, verification: Verification) -> None:
    """Best effort: without a place to write, the next load hashes again."""
    with suppress(OSError):
        write_whole(place, msgspec.json.encode(verification))
