"""Records of this machine, in the cache. They are trusted as far as the folder is: who may write there may admit or
refuse executions of a package, and nothing else."""

import hashlib
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec import Struct

from artificer.host.reading import slug as plain
from artificer.manifest import Host, canonical_json
from artificer.manifest.versions import UNREADABLE
from artificer.proving.local_record import LocalRecord
from artificer.storage.atomic_write import write_whole
from artificer.storage.cache_folder import PROOFS


class Found(Struct, frozen=True):
    """The record to use, None where there is none; `said` is for people: what it holds, or why one that is there is not
    used; None where there is nothing to say."""

    record: LocalRecord | None
    said: str | None


def place_of(cache: Path, slug: str, manifest_sha256: str, host: Host) -> Path:
    """The file of the record of a manifest on a host."""
    name = f"{plain(slug)[:60]}-{hashlib.sha256(slug.encode()).hexdigest()[:8]}"
    return cache / PROOFS / name / f"{manifest_sha256[:16]}-{host.name}.json"


def find(cache: Path, slug: str, manifest_sha256: str, host: Host, artificer_version: str) -> Found:
    """The record for this manifest on this machine, with its present runtimes."""
    place = place_of(cache, slug, manifest_sha256, host)
    record = _read(place)
    problem = None if record is None else record.problem(manifest_sha256, host, artificer_version)
    if record is not None and problem is None:
        passed, count = record.passed(), len(record.executions)
        kind = "a quick proof" if record.quick else "a proof"
        return Found(record, f"{passed} of {count} executions passed, by {kind} of this machine ({place})")
    if record is None:
        others = [(each, _read(each)) for each in _others(place)]
        for each, other in others:
            if other is not None and (problem := other.problem(manifest_sha256, host, artificer_version)):
                return Found(None, f"no, {each} is not used: {problem}")
        return Found(None, None)
    return Found(None, f"no, {place} is not used: {problem}. Run `artificer prove` again")


def write(cache: Path, record: LocalRecord) -> Path | None:
    """Keep the record; None where there is no place to write."""
    place = place_of(cache, record.slug, record.manifest_sha256, record.host)
    with suppress(OSError):
        write_whole(place, canonical_json(record))
        return place
    return None


def _read(place: Path) -> LocalRecord | None:
    try:
        return msgspec.json.decode(place.read_bytes(), type=LocalRecord)
    except (OSError, *UNREADABLE):
        return None


def _others(place: Path) -> list[Path]:
    try:
        return sorted(place.parent.glob("*.json"))
    except OSError:
        return []
