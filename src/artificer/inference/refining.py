"""The exact order of the first documents from approximate scores of all: which of them must be scored once more.

A pure function of logits. It knows no session: `exact` computes what it asks for.
"""

from collections.abc import Callable

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

Logits = NDArray[np.float32]
Indices = NDArray[np.int64]
ROWS = 32
"""The most documents of one round after the first: the threshold rises with each, so that fewer are left."""
_ROUNDING = 1e-9  # far above float64's own in these sums, far below any bound that a float32 graph can have


class ErrorBound(Struct, frozen=True, kw_only=True):
    """How far a fast output is from the exact one at most, in absolute terms.

    `logit` bounds the difference of logits, `score` that of their sigmoid; None where none is known. A document is out
    when one of the two says so: sigmoid scores are close together where logits are not, and the other way round.
    """

    logit: float | None = None
    score: float | None = None

    def plus(self, other: "ErrorBound") -> "ErrorBound":
        """The bound of a difference whose two parts are bounded by each (the triangle inequality)."""
        return ErrorBound(logit=_sum(self.logit, other.logit), score=_sum(self.score, other.score))


class Refined(Struct, frozen=True, kw_only=True):
    """The first documents, best first, and what was done to know them.

    `order` and `logits` are `[top_k]`: positions, and their exact logits. `rescored` counts the documents that `exact`
    was asked for. `certain` says that no other document can belong among the first, by the bound and by the differences
    that were observed. `observed` has the largest of these.
    """

    order: Indices
    logits: Logits
    rescored: int
    certain: bool
    observed: ErrorBound


def refine(
    fast: Logits,
    exact: Callable[[Indices], Logits],
    *,
    top_k: int,
    bound: ErrorBound,
    at_most: int | None = None,
    rows: int = ROWS,
) -> Refined:
    """The first `top_k` of `fast`, `[documents]`, in the order of their exact logits; equal ones by position.

    The leading `top_k` are scored exactly. The last of them is a threshold that only rises from there on: a document
    whose fast output plus the bound stays below it cannot be among the first. The others are scored too, best first,
    until none is left. A larger difference than the bound that shows up on the way takes its place.

    Args:
        fast: approximate logits of all documents; at least one.
        exact: the exact logits of the documents at some positions, `[positions]`. Each position is asked for once.
        top_k: how many to return, at least 1; all where there are fewer.
        bound: of the difference between fast and exact outputs.
        at_most: stop after as many exact scores, whether the order is certain or not; at least `top_k`.
        rows: the most documents of one round.
    """
    count = len(fast)
    top_k, limit = min(top_k, count), min(count if at_most is None else at_most, count)
    by_fast = np.argsort(-fast, kind="stable")
    found = np.empty(count, dtype=np.float32)
    done, wanted, observed = 0, top_k, ErrorBound(logit=0.0, score=0.0)
    while True:
        chosen = by_fast[done : min(done + wanted, limit)]
        found[chosen] = exact(chosen)
        done += len(chosen)
        scored = by_fast[:done]
        observed = _differences(fast[scored], found[scored])
        threshold = np.sort(found[scored])[done - top_k]
        undecided = int(_may_reach(fast[by_fast[done:]], threshold, bound, observed).sum())
        if undecided == 0 or done == limit:
            break
        wanted = min(undecided, rows)
    positions = np.sort(scored)
    order = positions[np.argsort(-found[positions], kind="stable")][:top_k]
    return Refined(order=order, logits=found[order], rescored=done, certain=undecided == 0, observed=observed)


def _may_reach(fast: Logits, threshold: np.float32, bound: ErrorBound, observed: ErrorBound) -> NDArray[np.bool_]:
    """Which documents may have an exact logit of at least `threshold`."""
    found = np.ones(len(fast), dtype=np.bool_)
    if bound.logit is not None:
        found &= fast.astype(np.float64) + max(bound.logit, observed.logit or 0.0) >= float(threshold) - _ROUNDING
    if bound.score is not None:
        found &= sigmoid(fast) + max(bound.score, observed.score or 0.0) >= sigmoid(threshold) - _ROUNDING
    return found


def _differences(fast: Logits, exact: Logits) -> ErrorBound:
    return ErrorBound(
        logit=float(np.abs(fast.astype(np.float64) - exact).max()),
        score=float(np.abs(sigmoid(fast) - sigmoid(exact)).max()),
    )


def sigmoid(logits: Logits | np.float32) -> NDArray[np.float64]:
    """In float64, where it saturates later than a float32 score does."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * np.asarray(logits, dtype=np.float64))))


def _sum(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other
