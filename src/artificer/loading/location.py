"""From the name of a model to the folder that holds its manifest, and how further files get into it."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from artificer.errors import IntegrityError, ManifestError
from artificer.hub.index import SLUG, index_of_environment
from artificer.manifest import MANIFEST_FILE, Manifest
from artificer.signing.signed_by import SignedBy
from artificer.signing.signed_files import SignedFiles

Fetch = Callable[[tuple[str, ...]], None]
"""Makes the files at these paths be there; the manifest lists them."""

SIGNATURE_RECORDS = "signatures"  # in the cache
_MANIFEST_LIMIT = 64 << 20  # bytes; a real one has some tens of kilobytes


class Address(Struct, frozen=True):
    """What names a published folder: the folder itself, or a Hub repo at a revision.

    `manifest_sha256` is the hash that its manifest must have. `offline` None reads `HF_HUB_OFFLINE`. `signed_by` is who
    must have signed it; None does not look for a signature.
    """

    source: str | Path
    revision: str | None = None
    manifest_sha256: str | None = None
    offline: bool | None = None
    signed_by: SignedBy | None = None


class Location(Struct, frozen=True):
    """A folder with its manifest. `fetch` is None where all files are there already. `signed_by` is who signed it, in
    words, where that was required and checked."""

    folder: Path
    manifest: Manifest
    manifest_sha256: str
    fetch: Fetch | None
    signed_by: str | None = None


def locate(address: Address, cache: Path, *, check_again: bool = False) -> Location:
    """The folder of an address, its manifest read and checked. Fetches the manifest of a Hub repo, and nothing else.

    Where a signature is required it is fetched and checked first: before that, no other file is opened. `check_again`
    does so even if this very signature was checked before.

    Raises:
        ManifestError: there is no such folder, or no manifest, or it is malformed.
        FetchError: the Hub cannot be reached, and the cache does not hold what is needed.
        IntegrityError: the manifest is not the one that the address names; SignatureError, that it is not signed as
            the address requires.
    """
    records = None if check_again else cache / SIGNATURE_RECORDS
    folder, fetch, signed = _folder(address, cache, records)
    manifest, sha256 = read_manifest(folder, signed)
    if signed is not None:
        signed.check_entries(manifest.published_files())
    if address.manifest_sha256 not in (None, sha256):
        raise IntegrityError(
            f"{address.source}: the manifest has sha256 {sha256}, expected {address.manifest_sha256}: it was changed"
            " after it was published or looked up. Nothing was opened."
        )
    return Location(folder, manifest, sha256, fetch, signed.signer if signed is not None else None)


def read_manifest(folder: Path, signed: SignedFiles | None = None) -> tuple[Manifest, str]:
    """The manifest in `folder`, validated, and the SHA-256 of its bytes, which is compared with what was `signed`.

    Raises:
        ManifestError: there is none, or it is malformed; ManifestVersionError for another major version.
        SignatureError: it is not the one that was signed. It was not parsed.
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
    sha256 = hashlib.sha256(data).hexdigest()
    if signed is not None:
        signed.check_manifest(sha256)
    return Manifest.from_json(data), sha256


def index_for(source: str | Path, index: str | Path | None) -> str | Path | None:
    """The index to look `source` up in: the one given, else `ARTIFICER_INDEX` where `source` is a bare name."""
    if index is not None:
        return index
    return index_of_environment() if SLUG.fullmatch(str(source)) and not Path(source).is_dir() else None


def _folder(address: Address, cache: Path, records: Path | None) -> tuple[Path, Fetch | None, SignedFiles | None]:
    source = address.source
    folder = Path(source)
    if folder.is_dir():
        if address.revision is not None:
            raise ManifestError(f"{source} is a folder, which has no revision {address.revision!r}.")
        return folder, None, _signed(folder, address.signed_by, records)
    from artificer.hub.client import is_repo_id, open_repo

    if isinstance(source, str) and is_repo_id(source):
        return open_repo(
            source,
            revision=address.revision,
            offline=address.offline,
            cache=cache,
            signed_by=address.signed_by,
            records=records,
        )
    raise ManifestError(
        f"{source}: expected a published folder or a Hub repo id like acme/minilm; this folder does not exist."
    )


def _signed(folder: Path, signed_by: SignedBy | None, records: Path | None) -> SignedFiles | None:
    if signed_by is None:
        return None
    from artificer.signing.signature_check import check_signed_folder

    return check_signed_folder(folder, signed_by, records=records)
