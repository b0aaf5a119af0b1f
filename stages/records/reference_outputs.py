"""reference.json: the logits that every variant is compared with."""

import msgspec
from msgspec import Struct

from artificer.manifest import Reference, canonical_json
from stages.core import files, paths


class ReferenceLogits(Struct, frozen=True, kw_only=True):
    """`logits[i]` are those of evaluation pair i, one per label."""

    made_with: Reference
    logits: tuple[tuple[float, ...], ...]


def write_reference(slug: str, found: ReferenceLogits) -> None:
    """Replace reference.json."""
    files.write_file(paths.reference(slug), canonical_json(found))


def load_reference(slug: str) -> ReferenceLogits:
    """What stage `reference` wrote."""
    return msgspec.json.decode(paths.reference(slug).read_bytes(), type=ReferenceLogits)
