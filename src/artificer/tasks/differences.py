"""How two sets of logits differ: by value, by order, and in the top of each query's ranking."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from artificer.inference.activations import activate
from artificer.manifest import Activation, Metrics

UNGROUPED_TOP_SHARE = 0.1
"""Of the whole list, where there are no queries with several passages."""


def classifier_differences(
    found: NDArray[np.float32],
    expected: NDArray[np.float32],
    activation: Activation,
    groups: Sequence[Sequence[int]],
    top_k: int,
) -> Metrics:
    """How far `found` is from `expected`, both logits `[pairs, labels]`.

    Absolute differences of logits (`output_…`) and of activated scores (`score_…`; with the activation `identity`: of
    logits, as a share of the reference's range); Spearman's rho over all pairs' logits, the worst over the labels, null
    where the reference's logits of a label are all equal; `top_k_overlap`, see `top_overlap`.
    """
    output_gap = np.abs(found.astype(np.float64) - expected)
    score_gap = np.abs(activate(found, activation).astype(np.float64) - activate(expected, activation))
    if activation == "identity":
        # Raw logits have no scale of their own: as a share of the reference's range they compare with sigmoid scores.
        score_gap /= max(float(np.ptp(expected)), 1e-12)
    labels = range(found.shape[1])
    return {
        "output_max_abs": float(output_gap.max()),
        "output_mean_abs": float(output_gap.mean()),
        "score_max_abs": float(score_gap.max()),
        "score_mean_abs": float(score_gap.mean()),
        "spearman": worst(spearman(found[:, i], expected[:, i]) for i in labels),
        "top_k": top_k,
        "top_k_overlap": min(top_overlap(found[:, i], expected[:, i], groups, top_k) for i in labels),
    }


def spearman(found: NDArray[Any], expected: NDArray[Any]) -> float | None:
    """Spearman's rho: Pearson's correlation of the ranks, ties sharing their mean rank.

    None where `expected` is constant, so that the order is undefined; 0 where only `found` is.
    """
    if len(np.unique(expected)) < 2:
        return None
    if len(np.unique(found)) < 2:
        return 0.0
    one, other = _ranks(found), _ranks(expected)
    one, other = one - one.mean(), other - other.mean()
    return float(np.clip(one @ other / np.sqrt((one @ one) * (other @ other)), -1, 1))


def worst(correlations: Iterable[float | None]) -> float | None:
    """The least of them; None where one is undefined."""
    values = list(correlations)
    known = [value for value in values if value is not None]
    return min(known) if known and len(known) == len(values) else None


def top_overlap(
    found: NDArray[np.float32], expected: NDArray[np.float32], groups: Sequence[Sequence[int]], top_k: int
) -> float:
    """Mean over queries of the share of the reference's top k that `found` also puts into its top k.

    k is at most one less than a query's passages. Where queries have one passage each (see `rankings`), the whole list
    is one group and k a tenth of it. Ties go by position on both sides.
    """
    ranked = rankings(groups)
    if not ranked:
        ranked = [list(range(len(found)))]
        top_k = max(top_k, round(UNGROUPED_TOP_SHARE * len(found)))
    shares = []
    for group in ranked:
        k = min(top_k, len(group) - 1) or 1
        top_found, top_expected = (set(np.argsort(-x[group], kind="stable")[:k].tolist()) for x in (found, expected))
        shares.append(len(top_found & top_expected) / k)
    return float(np.mean(shares))


def group_by_query(queries: Sequence[str]) -> list[list[int]]:
    """Indices of the pairs of each query, in order of appearance."""
    groups: dict[str, list[int]] = {}
    for i, query in enumerate(queries):
        groups.setdefault(query, []).append(i)
    return list(groups.values())


def rankings(groups: Sequence[Sequence[int]]) -> list[list[int]]:
    """The queries with several passages, or none when these are not most of the pairs: a few queries that happen to
    repeat in a set of pairs do not make it a ranking task."""
    ranked = [list(group) for group in groups if len(group) > 1]
    return ranked if 2 * sum(map(len, ranked)) >= sum(map(len, groups)) else []


def _ranks(values: NDArray[Any]) -> NDArray[np.float64]:
    """Ranks from 0, equal values sharing their mean."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    means: NDArray[np.float64] = last - (counts + 1) / 2
    return means[places]
