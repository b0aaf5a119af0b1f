"""Signatures that were checked before, so that a later start need not import model-signing, which takes half a second.

A record is the name of a file in the cache: a hash over the signature and all that was required of it. It is trusted as
far as the cache is, like the record of which files were hashed (`loading.integrity`).
"""

import hashlib
from contextlib import suppress
from pathlib import Path

from artificer.signing.signed_by import SignedBy
from artificer.storage.atomic_write import write_whole


class CheckedSignatures:
    """The records in one folder; None keeps none."""

    def __init__(self, folder: Path | None):
        self._folder = folder

    def has(self, data: bytes, wanted: SignedBy) -> bool:
        """Whether this signature was found to be by this signer before."""
        place = self._place(data, wanted)
        return place is not None and place.is_file()

    def add(self, data: bytes, wanted: SignedBy) -> None:
        """Best effort: without a place to write, the next start checks again."""
        place = self._place(data, wanted)
        if place is not None:
            with suppress(OSError):
                write_whole(place, f"{wanted}\n".encode())

    def _place(self, data: bytes, wanted: SignedBy) -> Path | None:
        """None without a folder, and for a signer whose files cannot be read."""
        if self._folder is None:
            return None
        digest = hashlib.sha256()
        try:
            for part in (data, *map(_contents, (wanted.key, wanted.certificate, wanted.trust))):
                digest.update(len(part).to_bytes(8) + part)
        except OSError:
            return None
        for text in (wanted.subject, wanted.identity, wanted.issuer):
            digest.update(len(text or "").to_bytes(8) + (text or "").encode())
        return self._folder / digest.hexdigest()


def _contents(path: str | Path | None) -> bytes:
    return Path(path).read_bytes() if path else b""
