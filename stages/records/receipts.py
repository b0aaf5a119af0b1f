"""Receipts: what was published where, in git. One is written only after the target was read back."""

import msgspec
from msgspec import Struct

from artificer.manifest import FileEntry, canonical_json
from stages.core import files, paths
from stages.core.errors import PublishError


class Receipt(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was published where: registry/receipts/<slug>.json.

    `signature_sha256` is the hash of `model.sig`, null where it was not signed. On a Hub `commit` is the commit that
    was read back, and `pull_request` its number where it was proposed. `offered` lists what lies in somebody else's
    repo under that repo's names; elsewhere the manifest lists it.
    """

    slug: str
    target: str
    repo: str
    manifest_sha256: str
    signature_sha256: str | None = None
    files: int
    bytes: int
    commit: str | None = None
    pull_request: int | None = None
    offered: tuple[FileEntry, ...] = ()


def load_receipt(slug: str) -> Receipt | None:
    """What was written last, or None. Raises PublishError when it is malformed."""
    path = paths.receipt(slug)
    try:
        return msgspec.json.decode(path.read_bytes(), type=Receipt)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise PublishError(f"{path}: {error}. Restore it from git, or delete it and publish again.") from None


def write_receipt(receipt: Receipt) -> None:
    """Replace the receipt."""
    files.write_file(paths.receipt(receipt.slug), canonical_json(receipt))
