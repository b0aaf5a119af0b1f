"""reference.json: the logits that every variant is compared with."""

import msgspec
from msgspec import Struct

from artificer.manifest import Reference, canonical_json
from artificer.proving.measurement import LengthTexts
from stages.core import files, paths


class ReferenceLogits(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`logits[i]` are those of evaluation pair i, one per label.

    `bare_max_abs` is the largest difference of a logit between CrossEncoder and the bare transformers model, over the
    first pairs; `pairs_with_equal_tokens` counts the pairs whose tokens were compared with CrossEncoder's. `lengths`
    are texts of many lengths with their logits.
    """

    made_with: Reference
    logits: tuple[tuple[float, ...], ...]
    bare_max_abs: float
    pairs_with_equal_tokens: int
    lengths: LengthTexts = LengthTexts()


def write_reference(slug: str, found: ReferenceLogits) -> None:
    """Replace reference.json."""
    files.write_file(paths.reference(slug), canonical_json(found))


def load_reference(slug: str) -> ReferenceLogits:
    """What stage `reference` wrote."""
    return msgspec.json.decode(paths.reference(slug).read_bytes(), type=ReferenceLogits)
