"""Looking models up by name: an index of what is published, in a folder or a Hub repo, and its last-known-good copy.

What was looked up is what is loaded: the index names the commit and the manifest's hash, the manifest names every
file's. After each look-up at the Hub the index is kept in the cache, and after each load what was loaded: a service
that starts while the Hub is away starts from those, and says so.
"""

import hashlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec
from msgspec import Struct

from artificer.atomic_write import write_whole
from artificer.cache import cache_folder
from artificer.errors import FetchError, IntegrityError, ModelIndexError, SelfTestError
from artificer.hub.client import client, is_offline, is_refusal, is_repo_id, open_repo
from artificer.hub.index import INDEX_FILE, INDEX_VARIABLE, Channel, Index, Release
from artificer.manifest import MANIFEST_FILE, Manifest

logger = logging.getLogger("artificer")

_INDEX_LIMIT = 16 << 20  # bytes; a thousand models with long histories take about one megabyte
_TIMEOUT = 10.0  # seconds without a byte

T_co = TypeVar("T_co", covariant=True)


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


class Loader(Protocol[T_co]):
    """Opens a published folder or repo whose manifest has this hash."""

    def __call__(self, source: str | Path, *, revision: str | None, manifest_sha256: str, offline: bool | None) -> T_co:
        """Raises FetchError when the files cannot be got."""
        ...


class ModelIndex:
    """An index of published models.

    Args:
        source: a folder that holds `index.json`, or a Hub repo id; None reads `ARTIFICER_INDEX`.
        offline: open no socket; None reads `HF_HUB_OFFLINE`.
        cache: where the last-known-good copies are; None for `cache.cache_folder()`.

    >>> index = ModelIndex("acme/registry")  # doctest: +SKIP
    >>> list(index), index.describe("minilm-l6").variants  # doctest: +SKIP
    """

    def __init__(
        self, source: str | Path | None = None, *, offline: bool | None = None, cache: str | Path | None = None
    ):
        named = source if source is not None else os.environ.get(INDEX_VARIABLE)
        if not named:
            raise ModelIndexError(f"No index is named: pass one, or set {INDEX_VARIABLE}.")
        self._folder = Path(named) if Path(named).is_dir() else None
        if self._folder is None and not is_repo_id(str(named)):
            raise ModelIndexError(f"{named}: expected a folder with an {INDEX_FILE}, or a Hub repo like acme/registry.")
        self.source = str(named)
        self.offline = is_offline() if offline is None else offline
        self._cache = Path(cache) if cache is not None else cache_folder()
        self._kept = self._cache / "indexes" / self.source.replace("/", "--")
        self._index: Index | None = None
        self.stale_reason: str | None = None

    def refresh(self) -> Index:
        """Read the index again.

        Raises:
            ModelIndexError: there is none, it is malformed, or the Hub refused.
            FetchError: the Hub is away, and no copy is kept.
        """
        if self._folder is not None:
            self._index = _read(self._folder / INDEX_FILE)
        else:
            self._index = self._kept_index("the network is off") if self.offline else self._ask()
        return self._index

    @property
    def index(self) -> Index:
        """The index, read at first use; `stale_reason` says why it is a kept copy, if it is."""
        return self._index if self._index is not None else self.refresh()

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self.index.models))

    def find(self, slug: str, channel: Channel = "stable") -> Release:
        """The release that a channel holds. Raises ModelIndexError when there is none, as `refresh` does besides."""
        return self.index.find(slug, channel)

    def describe(self, slug: str, channel: Channel = "stable") -> Description:
        """What is known about a model; reads its manifest, and downloads nothing else.

        Raises:
            ModelIndexError, FetchError, IntegrityError: as `find`; the manifest is not the one that the index names.
        """
        release = self.find(slug, channel)
        folder = self._place(release)
        if release.revision is not None:
            assert isinstance(folder, str)
            self._drop_damaged_manifest(release)
            folder, _ = open_repo(folder, revision=release.revision, offline=self.offline, cache=self._cache)
        try:
            data = (Path(folder) / MANIFEST_FILE).read_bytes()
        except OSError as error:
            raise ModelIndexError(f"{slug}: {folder} holds no readable {MANIFEST_FILE}: {error.strerror}.") from None
        check_manifest(slug, data, release.manifest_sha256)
        manifest = Manifest.from_json(data)
        return Description(
            slug=slug,
            channel=channel,
            release=release,
            channels=self.index.models[slug].channels,
            source=f"{manifest.source.location} at {manifest.source.revision}",
            task=manifest.task,
            license=manifest.source.license,
            max_length=manifest.max_length,
            variants={v.id: v.size_bytes for v in manifest.variants if v.status == "passed"},
        )

    def open(self, slug: str, channel: Channel, loader: Loader[T_co]) -> T_co:
        """Load what a channel holds; where its files cannot be fetched, what this machine loaded last.

        Raises:
            ModelIndexError, FetchError: as `find`; and whatever `loader` raises.
        """
        release = self.find(slug, channel)
        try:
            loaded = self._load(release, loader, self.offline)
        except (FetchError, SelfTestError) as error:
            good = self._last_good(slug, channel)
            fetched = isinstance(error, SelfTestError) and not isinstance(error.__cause__, FetchError)
            if fetched or good is None or good == release:
                raise
            logger.warning(
                "%s: %s cannot be fetched (%s): starting from %s, which was loaded last", slug, release, error, good
            )
            return self._load(good, loader, True)
        if release.revision is not None and self._last_good(slug, channel) != release:
            _write(self._kept / "good", f"{slug}.{channel}.json", msgspec.json.encode(release))
        return loaded

    def _load(self, release: Release, loader: Loader[T_co], offline: bool) -> T_co:
        self._drop_damaged_manifest(release)
        return loader(
            self._place(release),
            revision=release.revision,
            manifest_sha256=release.manifest_sha256,
            offline=offline,
        )

    def _place(self, release: Release) -> str | Path:
        """The repo, or the folder, which must lie below the index's own, links followed."""
        if release.revision is not None:
            return release.repo
        if self._folder is None:
            raise ModelIndexError(f"{self.source}: {release.repo!r} is a folder; an index on the Hub cannot name one.")
        place = self._folder / release.repo
        if not place.resolve().is_relative_to(self._folder.resolve()):
            raise ModelIndexError(f"{self.source}: {release.repo!r} leads out of the index's folder, by a link.")
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
            path.unlink(missing_ok=True)

    def _ask(self) -> Index:
        try:
            data = _download(self.source)
            index = Index.from_json(data)
        except (FetchError, ModelIndexError) as error:
            if isinstance(error.__cause__, Exception) and is_refusal(error.__cause__):
                raise
            index = self._kept_index(str(error))
            logger.warning("%s: the index cannot be read (%s): using the copy that was kept", self.source, error)
            return index
        self.stale_reason = None
        _write(self._kept, INDEX_FILE, data)
        return index

    def _kept_index(self, reason: str) -> Index:
        path = self._kept / INDEX_FILE
        if not path.is_file():
            raise FetchError(f"{self.source}: {reason}, and no copy is kept here. Look a model up once with it there.")
        self.stale_reason = reason
        return _read(path)

    def _last_good(self, slug: str, channel: Channel) -> Release | None:
        try:
            return msgspec.json.decode((self._kept / "good" / f"{slug}.{channel}.json").read_bytes(), type=Release)
        except (OSError, msgspec.DecodeError):
            return None


def check_manifest(name: str, data: bytes, expected: str) -> None:
    """Raise IntegrityError unless these are the manifest's bytes that were looked up."""
    found = hashlib.sha256(data).hexdigest()
    if found != expected:
        raise IntegrityError(
            f"{name}: the manifest has sha256 {found}, expected {expected}: it was changed after it was entered into "
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
        raise ModelIndexError(f"{path} cannot be read: {error.strerror}. Expected an index of Artificer's.") from None


def _write(folder: Path, name: str, data: bytes) -> None:
    """Best effort: without a place to write there is no copy to start from, and no reason to fail now."""
    try:
        write_whole(folder / name, data)
    except OSError as error:
        logger.warning("%s cannot be kept in %s: %s", name, folder, error.strerror)
