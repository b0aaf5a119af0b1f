"""What `rank` returns: a list of dicts, as CrossEncoder's, and how its order was made certain."""

from typing import Any, Literal

from msgspec import Struct

Refine = Literal["exact"]


class Refinement(Struct, frozen=True, kw_only=True):
    """What `rank(refine="exact")` did.

    Attributes:
        execution: the exact execution, such as `onnx`.
        documents: how many were ranked.
        rescored: how many were scored by `execution` too; 0 where the loaded execution is exact already.
        certain: the order of what was returned is that of a ranking by `execution` alone. False if `refine_at_most`
            ended the search before the error bound ruled out all others.
        score_bound: how far a fast score is from an exact one at most, as proven; None without a proof of scores.
        logit_bound: the same of logits.
        largest_score_difference: of the documents that were scored twice. Where it is above the bound, it was taken
            in the bound's place.
        largest_logit_difference: the same of logits.
    """

    execution: str
    documents: int
    rescored: int
    certain: bool
    score_bound: float | None = None
    logit_bound: float | None = None
    largest_score_difference: float | None = None
    largest_logit_difference: float | None = None


class Ranking(list[dict[str, Any]]):
    """`{"corpus_id", "score"[, "text"]}` of each document, best first; `refinement` is None without `refine`."""

    refinement: Refinement | None = None
