"""The proof of this machine: found in the cache, or made where the caller asks for it."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from artificer.errors import ManifestError
from artificer.loading.integrity import check_sidecars
from artificer.loading.location import Location
from artificer.loading.opening import ensure
from artificer.loading.options import LoadOptions
from artificer.manifest import Host
from artificer.storage.cache_folder import PROOFS

if TYPE_CHECKING:
    from artificer.proving.local_record import LocalRecord
    from artificer.proving.prove import Progress
    from artificer.proving.record_store import Found

logger = logging.getLogger("artificer")


def with_own_proof(location: Location, options: LoadOptions, host: Host, threads: int) -> tuple[Location, str | None]:
    """The location with what this machine proved, and a line on it; `prove=True` proves where nothing is there.

    Raises what `prove_here` does.
    """
    if not options.prove and (location.manifest.proof is None or not (options.cache / PROOFS).is_dir()):
        return location, None
    found = _find(location, options, host)
    if found.record is None and options.prove:
        found = _proven_once(location, options, host, threads)
    if found.record is None:
        return location, found.said
    return replace(location, manifest=found.record.amended(location.manifest)), found.said


def prove_here(
    location: Location, options: LoadOptions, host: Host, threads: int, progress: "Progress", *, quick: bool = False
) -> tuple["LocalRecord", Path | None]:
    """Fetch and verify what the host can run, prove it, and keep the record in the cache; where it is kept.

    Raises:
        ManifestError: the package carries no proof set, or another than its manifest says.
        IntegrityError, FetchError: a file is not what the manifest says, or cannot be fetched.
        SelectionError: this host offers nothing of the package.
    """
    from artificer.proving.offered import offered
    from artificer.proving.proof_set import unpacked
    from artificer.proving.prove import prove
    from artificer.proving.record_store import write

    manifest = location.manifest
    if manifest.proof is None:
        raise ManifestError(f"{manifest.slug}: the package has no proof set. Build and publish it with this release.")
    variants = {each.variant.id: each.variant for each in offered(manifest, host)}
    shared = [manifest.proof.file, *manifest.files]
    wanted = [*shared, *(entry for variant in variants.values() for entry in variant.files)]
    ensure(location, options, tuple(entry.path for entry in wanted))
    for variant in variants.values():
        check_sidecars(location.folder, variant)
    proof = unpacked((location.folder / manifest.proof.file.path).read_bytes())
    package = (location.folder, manifest, location.manifest_sha256)
    record = prove(package, proof, host, threads, quick=quick, progress=progress)
    return record, write(options.cache, record)


def _find(location: Location, options: LoadOptions, host: Host) -> "Found":
    from artificer import __version__
    from artificer.proving.record_store import find

    return find(options.cache, location.manifest.slug, location.manifest_sha256, host, __version__)


def _proven_once(location: Location, options: LoadOptions, host: Host, threads: int) -> "Found":
    """Processes that start together take turns: the first one proves, the others read its record."""
    from artificer.proving.record_store import Found, place_of

    place = place_of(options.cache, location.manifest.slug, location.manifest_sha256, host)
    with _locked(place.with_suffix(".lock")):
        found = _find(location, options, host)
        if found.record is not None:
            return found
        record, kept = prove_here(location, options, host, threads, _log)
        passed, count = record.passed(), len(record.executions)
        where = f"kept in {kept}" if kept is not None else "not kept: the cache cannot be written"
        return Found(record, f"{passed} of {count} executions passed, at this load in {record.seconds:.0f} s ({where})")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Best effort: without a place to write, or on Windows, several processes prove at once."""
    if sys.platform == "win32":
        yield
        return
    import fcntl

    stream = None
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = path.open("w")
        fcntl.flock(stream, fcntl.LOCK_EX)
    try:
        yield
    finally:
        if stream is not None:
            stream.close()


def _log(line: str) -> None:
    logger.info("proving %s", line)
