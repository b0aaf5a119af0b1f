"""What is published of a checkpoint beside the variants: written by `reference`, read by every later stage.

A file is as it came, unless CrossEncoder does something else than the file says; then it is what CrossEncoder does.
"""

import msgspec
from msgspec import Struct

from artificer.manifest import FileEntry, TokenizerInfo
from stages.core import paths
from stages.core.errors import UsageError


class PublishedFiles(Struct, frozen=True, kw_only=True):
    """The files, how the tokenizer among them is used, and why a file was rewritten, by its name."""

    tokenizer: TokenizerInfo
    files: tuple[FileEntry, ...]
    rewritten: dict[str, str]


def load_published(slug: str) -> PublishedFiles:
    """What stage `reference` wrote. Raises UsageError when it has not run."""
    try:
        return msgspec.json.decode(paths.published_record(slug).read_bytes(), type=PublishedFiles)
    except FileNotFoundError:
        raise UsageError(
            f"{paths.published_record(slug)} is missing: run `dvc repro reference@{slug}` first."
        ) from None
