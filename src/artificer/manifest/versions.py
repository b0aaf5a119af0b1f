"""Which schema versions this release reads: its own major with a warning for a newer minor, and the one before."""

import warnings

import msgspec
from msgspec import Struct

from artificer.errors import ManifestError, ManifestVersionError
from artificer.manifest.file_entries import MANIFEST_FILE

SCHEMA_VERSION = "2.1"
_NEWEST_READ = {1: 0, 2: 1}
"""The newest minor version of each major one that this release knows."""

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for malformed bytes: the last two for bytes that are not UTF-8 and for deeply nested brackets."""


class _Version(Struct):
    schema_version: str


def schema_version(data: bytes) -> tuple[int, int]:
    """The major and the minor version of a manifest's bytes.

    Raises:
        ManifestVersionError: this release does not read that version.
        ManifestError: the bytes are not a JSON object with a version.
    """
    try:
        found = msgspec.json.decode(data, type=_Version).schema_version
    except UNREADABLE as error:
        raise ManifestError(f"{MANIFEST_FILE}: {with_key_path(error)}") from None
    major_text, dot, minor_text = found.partition(".")
    if not (dot and major_text.isdecimal() and minor_text.isdecimal() and len(found) <= 16):
        raise ManifestVersionError(
            f"{MANIFEST_FILE}: schema_version: expected like {SCHEMA_VERSION!r}, found {found!r}."
        )
    major, minor = int(major_text), int(minor_text)
    if major not in _NEWEST_READ:
        known = " and ".join(f"{each}.x" for each in sorted(_NEWEST_READ))
        raise ManifestVersionError(
            f"{MANIFEST_FILE}: schema_version is {found}; this release reads {known}: "
            + ("upgrade the artificer package." if major > max(_NEWEST_READ) else "build the model again.")
        )
    if minor > _NEWEST_READ[major]:
        warnings.warn(
            f"{MANIFEST_FILE} has schema version {found}, newer than {major}.{_NEWEST_READ[major]}:"
            " its new fields are ignored.",
            stacklevel=4,
        )
    return major, minor


def with_key_path(error: Exception) -> str:
    """msgspec's message with the key path first: "Expected `int`, got `str` - at `$.variants[0].opset`"."""
    message, at, path = str(error).partition(" - at `$")
    return f"{path.rstrip('`').lstrip('.')}: {message}." if at else f"{message}."
