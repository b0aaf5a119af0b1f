"""Checkpoints of builds, beside the objects of DVC's remote: `fleet/<slug>.json`, replaced as stages finish."""

import io
from typing import Any

import msgspec
from msgspec import Struct

from stages.fleet.lock_blocks import Blocks
from stages.running.remote import object_store


class Checkpoint(Struct, frozen=True, kw_only=True):
    """What an unfinished build has done: the digest of its order, the lock's stages so far, and its files."""

    order: str
    ran: tuple[str, ...]
    blocks: Blocks
    files: dict[str, str]


def read_checkpoint(repo: Any, slug: str, order: str) -> Checkpoint | None:
    """The checkpoint of the same order; None where there is none that can be read."""
    odb = object_store(repo)
    path = odb.fs.join(odb.path, "fleet", f"{slug}.json")
    try:
        with odb.fs.open(path, "rb") as stream:
            found = msgspec.json.decode(stream.read(), type=Checkpoint)
    except (OSError, msgspec.DecodeError):
        return None
    return found if found.order == order else None


def write_checkpoint(repo: Any, slug: str, checkpoint: Checkpoint) -> None:
    """Replace it. Raises OSError when the remote cannot be written."""
    odb = object_store(repo)
    path = odb.fs.join(odb.path, "fleet", f"{slug}.json")
    odb.fs.makedirs(odb.fs.parent(path), exist_ok=True)
    odb.fs.upload_fobj(io.BytesIO(msgspec.json.encode(checkpoint)), path)
