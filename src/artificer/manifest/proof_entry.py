"""What a manifest says of the package's proof set."""

from typing import Annotated

from msgspec import Meta, Struct

from artificer.manifest.structs import Count, FileEntry, Metrics, PrecisionClass


class ProofSetEntry(Struct, frozen=True, kw_only=True):
    """The file with texts and the reference's outputs, by which any machine can prove executions
    (`artificer.proving.proof_set`), and how.

    `pairs` are those of the evaluation set, `lengths` the texts of many lengths; `batch_size` and `top_k` are what the
    builder measured with. `thresholds` are the limits of each class of precision, null for one that is not judged.
    """

    file: FileEntry
    pairs: Count
    lengths: Count
    batch_size: Annotated[int, Meta(ge=1)]
    top_k: Annotated[int, Meta(ge=1)]
    thresholds: dict[PrecisionClass, Metrics]
