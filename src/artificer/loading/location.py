"""From the name of a model to the folder that holds its manifest, and how further files get into it."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from artificer.errors import IntegrityError, ManifestError
from artificer.hub.index import SLUG, index_of_environment
from artificer.manifest import MANIFEST_FILE, Manifest

Fetch = Callable[[tuple[str, ...]], None]
"""Makes the files at these paths be there; the manifest lists them."""

_MANIFEST_LIMIT = 64 << 20  # bytes; a real one has some tens of kilobytes


@dataclass(frozen=True, slots=True)
class Address:
    """What names a published folder: the folder itself, or a Hub repo at a revision.

    `manifest_sha256` is the hash that its manifest must have. `offline` None reads `HF_HUB_OFFLINE`.
    """

    source: str | Path
    revision: str | None = None
    manifest_sha256: str | None = None
    offline: bool | None = None


@dataclass(frozen=True, slots=True)
class Location:
    """A folder with its manifest. `fetch` is None where all files are there already."""

    folder: Path
    manifest: Manifest
    manifest_sha256: str
    fetch: Fetch | None


def locate(address: Address, cache: Path) -> Location:
    """The folder of an address, its manifest read and checked. Fetches the manifest of a Hub repo, and nothing else.

    Raises:
        ManifestError: there is no such folder, or no manifest, or it is malformed.
        FetchError: the Hub cannot be reached, and the cache does not hold what is needed.
        IntegrityError: the manifest is not the one that the address names.
    """
    folder, fetch = _folder(address, cache)
    manifest, sha256 = read_manifest(folder)
    if address.manifest_sha256 not in (None, sha256):
        raise IntegrityError(
            f"{address.source}: the manifest has sha256 {sha256}, expected {address.manifest_sha256}: it was changed"
            " after it was published or looked up. Nothing was opened."
        )
    return Location(folder, manifest, sha256, fetch)


def read_manifest(folder: Path) -> tuple[Manifest, str]:
    """The manifest in `folder`, validated, and the SHA-256 of its bytes.

    Raises:
        ManifestError: there is none, or it is malformed; ManifestVersionError for another major version.
    """
    try:
        with (folder / MANIFEST_FILE).open("rb") as stream:
            data = stream.read(_MANIFEST_LIMIT + 1)
    except OSError as error:
        raise ManifestError(
            f"{folder} holds no readable {MANIFEST_FILE} ({error.strerror}); expected a published folder."
        ) from None
    if len(data) > _MANIFEST_LIMIT:
        raise ManifestError(f"{folder / MANIFEST_FILE} is larger than {_MANIFEST_LIMIT} bytes.")
    return Manifest.from_json(data), hashlib.sha256(data).hexdigest()


def index_for(source: str | Path, index: str | Path | None) -> str | Path | None:
    """The index to look `source` up in: the one given, else `ARTIFICER_INDEX` where `source` is a bare name."""
    if index is not None:
        return index
    return index_of_environment() if SLUG.fullmatch(str(source)) and not Path(source).is_dir() else None


def _folder(address: Address, cache: Path) -> tuple[Path, Fetch | None]:
    source = address.source
    folder = Path(source)
    if folder.is_dir():
        if address.revision is not None:
            raise ManifestError(f"{source} is a folder, which has no revision {address.revision!r}.")
        return folder, None
    from artificer.hub.client import is_repo_id, open_repo

    if isinstance(source, str) and is_repo_id(source):
        return open_repo(source, revision=address.revision, offline=address.offline, cache=cache)
    raise ManifestError(
        f"{source}: expected a published folder or a Hub repo id like acme/minilm; this folder does not exist."
    )
