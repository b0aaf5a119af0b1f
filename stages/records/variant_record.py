"""variant.json: what became of one variant. A building stage writes it; parity, benchmark, pack and publish read it."""

from typing import Any, Literal

import msgspec
from msgspec import Struct

from artificer.manifest import Fallback, FileEntry, tree_digest
from stages.core import paths
from stages.core.errors import ToolchainError
from stages.core.variants import row

RECORD = "variant.json"


class VariantRecord(Struct, frozen=True, kw_only=True):
    """What was built, how, and with which tools; or why it was not built."""

    id: str
    status: Literal["built", "failed", "unsupported"]
    reason: str | None
    recipe: dict[str, Any]
    inputs: tuple[str, ...]
    opset: int | None
    notes: tuple[str, ...]
    tools: dict[str, str]
    files: tuple[FileEntry, ...]
    fallback: Fallback | None = None
    alias_of: str | None = None


def load_record(slug: str, variant_id: str) -> VariantRecord:
    """A variant's record. Raises ToolchainError when its stage has not run."""
    path = paths.variant(slug, row(variant_id)) / RECORD
    try:
        return msgspec.json.decode(path.read_bytes(), type=VariantRecord)
    except FileNotFoundError:
        raise ToolchainError(f"{path} is missing: run `dvc repro` for this model.") from None


def published_files(record: VariantRecord) -> tuple[FileEntry, ...]:
    """The variant's files under their paths in the published folder."""
    folder = row(record.id).file.rpartition("/")[0]
    return tuple(FileEntry(path=f"{folder}/{f.path}", size=f.size, sha256=f.sha256) for f in record.files)


def digest(record: VariantRecord) -> str:
    """The digest of the published files: figures belong to these bytes."""
    return tree_digest(published_files(record))
