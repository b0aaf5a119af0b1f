"""The index of published models: slug to repo, commit and manifest, per channel, with its history.

The builder writes `index.json`, the runtime looks models up in it. Both use these types. A publish moves `candidate`;
`stable` moves by promotion and rollback alone, and what it held stays in the history. Version rule as for the manifest:
another major is refused, a newer minor is read with a warning.
"""

import logging
import os
import re
import warnings
from functools import cache
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from artificer.errors import ModelIndexError
from artificer.manifest import Sha256, canonical_json, unsafe_path_reason

INDEX_VERSION = "1.1"
INDEX_FILE = "index.json"
INDEX_VARIABLE = "ARTIFICER_INDEX"
_OLD_VARIABLE = "ARTIFICER_REGISTRY"  # until 0.1

logger = logging.getLogger("artificer")

Channel = Literal["candidate", "stable"]

SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_REPO = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")


def index_of_environment() -> str | None:
    """The index that `ARTIFICER_INDEX` names. Warns once where only its former name is set, which nothing reads."""
    named = os.environ.get(INDEX_VARIABLE) or None
    if named is None and os.environ.get(_OLD_VARIABLE):
        _warn_of_old_variable()
    return named


@cache
def _warn_of_old_variable() -> None:
    logger.warning("%s is set, which is not read any more: set %s instead.", _OLD_VARIABLE, INDEX_VARIABLE)


class Release(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One published state of a model. `manifest_sha256` is the hash of its manifest's bytes, `signature_sha256` that of
    its signature's, null where it is not signed.

    With a `revision`, a 40-hex commit, `repo` is a Hub repo; without, a POSIX path below the index's own folder.
    """

    repo: str
    revision: Annotated[str, Meta(pattern="^[0-9a-f]{40}$")] | None
    manifest_sha256: Sha256
    signature_sha256: Sha256 | None = None


class Event(Struct, frozen=True, kw_only=True):
    """What happened: a publish set `candidate` to the release; a promotion or a rollback set `stable` to it."""

    action: Literal["publish", "promote", "rollback"]
    release: Release


class IndexEntry(Struct, frozen=True, kw_only=True):
    """A model: what each channel holds, and how that came about, oldest first."""

    channels: dict[Channel, Release]
    history: tuple[Event, ...]


class Index(Struct, frozen=True, kw_only=True):
    """index.json as a whole."""

    schema_version: str = INDEX_VERSION
    models: dict[str, IndexEntry] = {}

    @classmethod
    def from_json(cls, data: bytes) -> "Index":
        """Parse and validate. Raises ModelIndexError with the key path of what is wrong."""
        try:
            index = msgspec.json.decode(data, type=cls)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ModelIndexError(f"{INDEX_FILE}: {error}.") from None
        index.validate()
        return index

    def to_json(self) -> bytes:
        """The canonical bytes."""
        return canonical_json(self)

    def validate(self) -> None:
        """Raise ModelIndexError unless every name is safe and every channel is what the history says."""
        major, _, minor = self.schema_version.partition(".")
        own_major, _, own_minor = INDEX_VERSION.partition(".")
        if major != own_major or not minor.isdecimal() or len(minor) > 8:
            raise ModelIndexError(
                f"{INDEX_FILE}: schema_version: expected {own_major}.x, found {self.schema_version!r}. "
                "Update artificer."
            )
        if int(minor) > int(own_minor):
            warnings.warn(f"{INDEX_FILE} has version {self.schema_version}: its new fields are ignored.", stacklevel=3)
        for slug, entry in self.models.items():
            if not SLUG.fullmatch(slug):
                raise ModelIndexError(f"{INDEX_FILE}: models: {slug!r} is not a slug.")
            for i, event in enumerate(entry.history):
                if problem := _unsafe(event.release):
                    raise ModelIndexError(f"{INDEX_FILE}: models.{slug}.history[{i}].release.{problem}.")
            if entry.channels != _channels(entry.history):
                raise ModelIndexError(f"{INDEX_FILE}: models.{slug}.channels: they differ from the history.")

    def find(self, slug: str, channel: Channel = "stable") -> Release:
        """The release that a channel holds. Raises ModelIndexError, which says what there is instead."""
        entry = self.models.get(slug)
        if entry is None:
            known = ", ".join(sorted(self.models)) or "none"
            raise ModelIndexError(f"the index has no model {slug!r}; it has: {known}.")
        if channel not in entry.channels:
            remedy = (
                f"run `python -m stages promote {slug}`, or look up channel='candidate'"
                if channel == "stable"
                else f"it has: {', '.join(entry.channels)}"
            )
            raise ModelIndexError(f"{slug} has no release in channel {channel!r}: {remedy}.")
        return entry.channels[channel]

    def lacks(self, earlier: "Index") -> str | None:
        """The first model whose history does not begin with what `earlier` has of it, or None."""
        for slug, entry in sorted(earlier.models.items()):
            history = self.models[slug].history if slug in self.models else ()
            if history[: len(entry.history)] != entry.history:
                return slug
        return None

    def published(self, slug: str, release: Release) -> "Index":
        """With `candidate` at `release`; the same index when it is there already."""
        entry = self.models.get(slug)
        if entry is not None and entry.channels.get("candidate") == release:
            return self
        return self._with(slug, Event(action="publish", release=release))

    def promoted(self, slug: str) -> "Index":
        """With `stable` at what `candidate` holds; the same index when it is there already."""
        release = self.find(slug, "candidate")
        if self.models[slug].channels.get("stable") == release:
            return self
        return self._with(slug, Event(action="promote", release=release))

    def before_stable(self, slug: str) -> Release:
        """What `stable` held before. Raises ModelIndexError when it held nothing before."""
        self.find(slug, "stable")
        held = _stable_releases(self.models[slug].history)
        if len(held) < 2:
            raise ModelIndexError(f"{slug}: stable held nothing before {_short(held[-1])}: it cannot be rolled back.")
        return held[-2]

    def rolled_back(self, slug: str) -> "Index":
        """With `stable` at what it held before; another rollback goes back one more."""
        return self._with(slug, Event(action="rollback", release=self.before_stable(slug)))

    def _with(self, slug: str, event: Event) -> "Index":
        history = self.models[slug].history if slug in self.models else ()
        entry = IndexEntry(channels=_channels((*history, event)), history=(*history, event))
        return msgspec.structs.replace(self, schema_version=INDEX_VERSION, models={**self.models, slug: entry})


def index_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of index.json, as published in docs/index-v1.schema.json."""
    return msgspec.json.schema(Index)


def _stable_releases(history: tuple[Event, ...]) -> list[Release]:
    """The releases that a rollback can reach, the current one last."""
    held: list[Release] = []
    for event in history:
        if event.action == "promote":
            held.append(event.release)
        elif event.action == "rollback" and held:
            held.pop()
    return held


def _channels(history: tuple[Event, ...]) -> dict[Channel, Release]:
    channels: dict[Channel, Release] = {}
    for event in history:
        channels["candidate" if event.action == "publish" else "stable"] = event.release
    return channels


def _unsafe(release: Release) -> str | None:
    if release.revision is None:
        reason = unsafe_path_reason(release.repo)
        return f"repo: {release.repo!r} is refused: {reason}" if reason else None
    if not re.fullmatch("[0-9a-f]{40}", release.revision):
        return f"revision: {release.revision!r} is not a commit"
    if not _REPO.fullmatch(release.repo) or ".." in release.repo:
        return f"repo: {release.repo!r} is not a repository id"
    return None


def _short(release: Release) -> str:
    return f"{release.repo}@{(release.revision or release.manifest_sha256)[:12]}"
