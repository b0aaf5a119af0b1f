"""Looking models up by name: an index of what is published, in a folder or a Hub repo, and its last-known-good copy.

What was looked up is what is loaded: the index names the commit and the manifest's hash, the manifest names every
file's. The cache holds a copy of the index after each look-up at the Hub, and the release after each load. A service
that starts while the Hub cannot be reached uses those, and logs it.
"""

import hashlib
import logging
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec import Struct

from artificer.errors import FetchError, IntegrityError, ModelIndexError, SignatureError
from artificer.hub.client import client, is_offline, is_refusal, is_repo_id, open_repo
from artificer.hub.index import INDEX_FILE, INDEX_VARIABLE, Channel, Index, Release, index_of_environment
from artificer.loading.location import Address
from artificer.manifest import MANIFEST_FILE, Manifest
from artificer.manifest.versions import UNREADABLE
from artificer.signing.signed_by import SignedBy, wanted_signer
from artificer.signing.signed_files import SignedFiles
from artificer.storage.atomic_write import write_whole
from artificer.storage.cache_folder import cache_folder

logger = logging.getLogger("artificer")

_INDEX_LIMIT = 16 << 20  # bytes; a thousand models with long histories take about one megabyte
_TIMEOUT = 10.0  # seconds without a byte


class Description(Struct, frozen=True, kw_only=True):
    """What an index knows about a model in one channel. `variants`: what passed, with the sizes in bytes."""

    slug: str
    channel: Channel
    release: Release
    channels: dict[Channel, Release]
    source: str
    task: str
    license: str
    max_length: int
    variants: dict[str, int]


class IndexedRelease(Struct, frozen=True):
    """A release, and the address to load it from."""

    release: Release
    address: Address


class ModelIndex:
    """An index of published models.

    Args:
        source: a folder that holds `index.json`, or a Hub repo id; None reads `ARTIFICER_INDEX`.
        offline: open no connection; None reads `HF_HUB_OFFLINE`.
        cache: where the last-known-good copies are; None for `storage.cache_folder.cache_folder()`.
        require_signature: who must have signed each model, as for `artificer.load`; None reads
            `ARTIFICER_REQUIRE_SIGNATURE`. The index must then continue the history that this machine has seen of it:
            an older one, which would bring back an older release, is refused.

    >>> index = ModelIndex("acme/registry")  # doctest: +SKIP
    >>> list(index), index.describe("minilm-l6").variants  # doctest: +SKIP
    """

    def __init__(
        self,
        source: str | Path | None = None,
        *,
        offline: bool | None = None,
        cache: str | Path | None = None,
        require_signature: SignedBy | str | None = None,
    ):
        named = source if source is not None else index_of_environment()
        if not named:
            raise ModelIndexError(f"No index is named: pass one, or set {INDEX_VARIABLE}.")
        self._folder = Path(named) if Path(named).is_dir() else None
        if self._folder is None and not is_repo_id(str(named)):
            raise ModelIndexError(f"{named}: expected a folder with an {INDEX_FILE}, or a Hub repo like acme/registry.")
        self.source = str(named)
        self.offline = is_offline() if offline is None else offline
        self._cache = Path(cache) if cache is not None else cache_folder()
        self._copies = self._cache / "indexes" / self.source.replace("/", "--")
        self._signed_by = wanted_signer(require_signature)
        self._index: Index | None = None
        self.stale_reason: str | None = None

    def refresh(self) -> Index:
        """Read the index again.

        Raises:
            ModelIndexError: there is none, it is malformed, or the Hub refused.
            FetchError: the Hub cannot be reached, and there is no cached copy.
            SignatureError: a signature is required, and this is an older index than the one that was read before.
        """
        if self._folder is not None:
            self._index = _read(self._folder / INDEX_FILE)
        else:
            self._index = self._cached_index("the network is off") if self.offline else self._ask()
        if self._signed_by is not None:
            try:
                self._refuse_older(self._index)
            except SignatureError:
                self._index = None
                raise
        return self._index

    def read(self) -> Index:
        """The index, read at first use. `stale_reason` says why it is the cached copy, if it is."""
        return self._index if self._index is not None else self.refresh()

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self.read().models))

    def find(self, slug: str, channel: Channel = "stable") -> Release:
        """The release that a channel holds. Raises ModelIndexError when there is none, as `refresh` does besides."""
        return self.read().find(slug, channel)

    def describe(self, slug: str, channel: Channel = "stable") -> Description:
        """What is known about a model; reads its manifest, and downloads nothing else.

        Raises:
            ModelIndexError, FetchError, IntegrityError: as `find`; the manifest is not the one that the index names.
        """
        release = self.find(slug, channel)
        folder = self._place(release)
        signed: SignedFiles | None = None
        if release.revision is not None:
            assert isinstance(folder, str)
            self._drop_damaged_manifest(release)
            folder, _, signed = open_repo(
                folder,
                revision=release.revision,
                offline=self.offline,
                cache=self._cache,
                signed_by=self._signed_by,
            )
        elif self._signed_by is not None:
            from artificer.signing.signature_check import check_signed_folder

            signed = check_signed_folder(Path(folder), self._signed_by)
        try:
            data = (Path(folder) / MANIFEST_FILE).read_bytes()
        except OSError as error:
            raise ModelIndexError(f"{slug}: {folder} holds no readable {MANIFEST_FILE}: {error.strerror}.") from None
        check_manifest(slug, data, release.manifest_sha256)
        if signed is not None:
            signed.check_manifest(release.manifest_sha256)
        manifest = Manifest.from_json(data)
        return Description(
            slug=slug,
            channel=channel,
            release=release,
            channels=self.read().models[slug].channels,
            source=f"{manifest.source.location} at {manifest.source.revision}",
            task=manifest.task,
            license=manifest.source.license,
            max_length=manifest.max_length,
            variants={v.id: v.size_bytes for v in manifest.variants if v.status == "passed"},
        )

    def locate(self, slug: str, channel: Channel = "stable") -> IndexedRelease:
        """What a channel holds.

        Raises:
            ModelIndexError, FetchError: as `find`.
        """
        release = self.find(slug, channel)
        self._drop_damaged_manifest(release)
        return IndexedRelease(release, self._address(release, self.offline))

    def locate_last_loaded(self, slug: str, channel: Channel = "stable") -> IndexedRelease | None:
        """What this machine loaded from a channel last, for a load while the files of `locate` cannot be fetched.

        Its address opens no socket.
        """
        good = self._last_good(slug, channel)
        return None if good is None else IndexedRelease(good, self._address(good, True))

    def remember(self, slug: str, channel: Channel, release: Release) -> None:
        """Store what was loaded from a channel, for `locate_last_loaded`. A release in a folder needs no network, so
        there is no record of it."""
        if release.revision is not None and self._last_good(slug, channel) != release:
            _write(self._copies / "good", f"{slug}.{channel}.json", msgspec.json.encode(release))

    def _address(self, release: Release, offline: bool) -> Address:
        return Address(self._place(release), release.revision, release.manifest_sha256, offline, self._signed_by)

    def _refuse_older(self, index: Index) -> None:
        """Raise SignatureError where the index lacks events that this machine has seen; else store what was seen."""
        name = hashlib.sha256(str(self._folder.resolve() if self._folder else self.source).encode()).hexdigest()[:32]
        folder = self._cache / "indexes" / "seen"
        try:
            before = Index.from_json((folder / f"{name}.json").read_bytes())
        except (OSError, ModelIndexError):
            before = Index()
        if lost := index.lacks(before):
            raise SignatureError(
                f"{self.source}: the index lacks releases of {lost} that this machine has seen in it: it was replaced"
                " by an older one, or its history was changed. Nothing was opened. If that was on purpose, delete"
                f" {folder / f'{name}.json'}."
            )
        if index != before:
            _write(folder, f"{name}.json", index.to_json())

    def _place(self, release: Release) -> str | Path:
        """The repo, or the folder, which must lie below the index's own, links followed."""
        if release.revision is not None:
            return release.repo
        if self._folder is None:
            raise ModelIndexError(f"{self.source}: {release.repo!r} is a folder; an index on the Hub cannot name one.")
        place = self._folder / release.repo
        if not place.resolve().is_relative_to(self._folder.resolve()):
            raise ModelIndexError(f"{self.source}: {release.repo!r} is outside the index's folder, through a link.")
        return place

    def _drop_damaged_manifest(self, release: Release) -> None:
        """A cached manifest that is not the release's is removed, so that it is fetched again."""
        if release.revision is None:
            return
        path = self._cache / "models" / release.repo.replace("/", "--") / release.revision / MANIFEST_FILE
        try:
            damaged = hashlib.sha256(path.read_bytes()).hexdigest() != release.manifest_sha256
        except OSError:
            return
        if damaged and not self.offline:
            with suppress(OSError):  # in a read-only cache the load refuses it
                path.unlink()

    def _ask(self) -> Index:
        try:
            data = _download(self.source)
            index = Index.from_json(data)
        except (FetchError, ModelIndexError) as error:
            if isinstance(error.__cause__, Exception) and is_refusal(error.__cause__):
                raise
            index = self._cached_index(str(error))
            logger.warning("%s: the index cannot be read (%s): using the cached copy", self.source, error)
            return index
        self.stale_reason = None
        _write(self._copies, INDEX_FILE, data)
        return index

    def _cached_index(self, reason: str) -> Index:
        path = self._copies / INDEX_FILE
        if not path.is_file():
            raise FetchError(f"{self.source}: {reason}, and there is no cached copy. Look a model up once online.")
        self.stale_reason = reason
        return _read(path)

    def _last_good(self, slug: str, channel: Channel) -> Release | None:
        try:
            data = (self._copies / "good" / f"{slug}.{channel}.json").read_bytes()
            release = msgspec.json.decode(data, type=Release)
        except (OSError, *UNREADABLE):
            return None
        return release if release.revision is not None else None


def check_manifest(name: str, data: bytes, expected: str) -> None:
    """Raise IntegrityError unless these are the manifest's bytes that were looked up."""
    found = hashlib.sha256(data).hexdigest()
    if found != expected:
        raise IntegrityError(
            f"{name}: the manifest has sha256 {found}, expected {expected}: it was changed after it was entered in "
            "the index. Nothing was opened. Publish the model again, or load another channel."
        )


def _download(repo: str) -> bytes:
    """index.json at the head of the repo, in one request."""
    hub = client()
    try:
        url = hub.hf_hub_url(repo, INDEX_FILE, revision="main")
        response = hub.utils.get_session().get(url, headers=hub.utils.build_hf_headers(), timeout=_TIMEOUT)
        hub.utils.hf_raise_for_status(response)
    except Exception as error:  # hub errors and requests' errors alike
        first = (str(error).strip().splitlines() or [""])[0][:300]
        raise FetchError(f"{repo}: {INDEX_FILE}: {type(error).__name__}: {first}") from error
    data = bytes(response.content)
    if len(data) > _INDEX_LIMIT:
        raise ModelIndexError(f"{repo}: {INDEX_FILE} is larger than {_INDEX_LIMIT} bytes.")
    return data


def _read(path: Path) -> Index:
    try:
        return Index.from_json(path.read_bytes())
    except OSError as error:
        raise ModelIndexError(f"{path} cannot be read: {error.strerror}. Expected an Artificer index.") from None


def _write(folder: Path, name: str, data: bytes) -> None:
    """Best effort: without a place to write the next start has no copy, and this call does not fail."""
    try:
        write_whole(folder / name, data)
    except OSError as error:
        logger.warning("%s cannot be written to %s: %s", name, folder, error.strerror)
