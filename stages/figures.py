"""The arithmetic of proof: pure functions from logits and labels to figures."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from sklearn.metrics import average_precision_score, ndcg_score

from artificer.manifest import Activation, Figures, Quality
from artificer.scoring import activate
from stages.errors import DataError

Logits = NDArray[np.float32]
NDCG_CUT = 10
# Without queries that have several passages, the top of the whole list is compared.
UNGROUPED_TOP_SHARE = 0.1


def differences(
    found: Logits,
    expected: Logits,
    activation: Activation,
    groups: Sequence[Sequence[int]],
    top_k: int,
    batch_score_max_abs: float | None,
) -> Figures:
    """How far `found` is from `expected`, both [pairs, labels]. Rank figures are the worst over the labels."""
    logit_gap = np.abs(found.astype(np.float64) - expected)
    score_gap = np.abs(activate(found, activation).astype(np.float64) - activate(expected, activation))
    if activation == "identity":
        # Raw logits have no scale of their own: as a share of the reference's range they compare with sigmoid scores.
        score_gap /= max(float(np.ptp(expected)), 1e-12)
    labels = range(found.shape[1])
    return Figures(
        logit_max_abs=float(logit_gap.max()),
        logit_mean_abs=float(logit_gap.mean()),
        score_max_abs=float(score_gap.max()),
        score_mean_abs=float(score_gap.mean()),
        spearman=_worst(_correlation(stats.spearmanr, found[:, i], expected[:, i]) for i in labels),
        kendall=_worst(_correlation(stats.kendalltau, found[:, i], expected[:, i]) for i in labels),
        top_k=top_k,
        top_k_overlap=min(top_overlap(found[:, i], expected[:, i], groups, top_k) for i in labels),
        batch_score_max_abs=batch_score_max_abs,
    )


def top_overlap(
    found: NDArray[np.float32], expected: NDArray[np.float32], groups: Sequence[Sequence[int]], top_k: int
) -> float:
    """Mean over queries of the share of the reference's top k that the variant also puts into its top k.

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
    repeat in a set of pairs make no ranking task of it."""
    ranked = [list(group) for group in groups if len(group) > 1]
    return ranked if 2 * sum(map(len, ranked)) >= sum(map(len, groups)) else []


def quality(
    logits: Logits,
    labels: Sequence[float],
    groups: Sequence[Sequence[int]],
    relevant_from: float,
    reference: Quality | None,
) -> Quality:
    """Quality of logits [pairs, labels] against gold labels; `ratio` is to `reference`, 1 without one. Raises DataError
    when the labels say nothing about the reference.

    One label: NDCG@10 (linear gain, scikit-learn's ndcg_score) and MAP over queries with at least one relevant and one
    other passage, and Spearman with the gold labels over all pairs. Several labels: accuracy of the highest.
    """
    gold = np.asarray(labels, dtype=np.float64)
    _check_labels(gold, logits.shape[1])
    ndcg = mean_precision = accuracy = None
    if logits.shape[1] > 1:
        accuracy = float(np.mean(logits.argmax(axis=1) == gold))
        spearman = None
    else:
        scores = logits[:, 0].astype(np.float64)
        judged = [g for g in rankings(groups) if len(set(gold[g])) > 1]
        if any((gold[g] < 0).any() for g in judged):
            raise DataError("evaluation: expected graded labels of at least 0, found a negative one.")
        if judged:
            ndcg = float(np.mean([ndcg_score([gold[g]], [scores[g]], k=NDCG_CUT) for g in judged]))
        binary = [(gold[g] >= relevant_from, scores[g]) for g in judged]
        useful = [(truth, score) for truth, score in binary if 0 < truth.sum() < len(truth)]
        if useful:
            mean_precision = float(np.mean([average_precision_score(truth, score) for truth, score in useful]))
        spearman = _worst([_correlation(stats.spearmanr, scores, gold)])
    name: Literal["ndcg_at_10", "spearman", "accuracy"] = "spearman"
    if accuracy is not None:
        name = "accuracy"
    elif ndcg is not None:
        name = "ndcg_at_10"
    value = {"accuracy": accuracy, "ndcg_at_10": ndcg, "spearman": spearman}[name] or 0.0
    if reference is None and value <= 0:
        raise DataError(
            f"evaluation: the reference itself has {name} {value:.3f} on these labels, so nothing can be compared with "
            "it. Expected labels that differ and that the model has learnt to follow."
        )
    base = value if reference is None else main_value(reference)
    return Quality(
        main_metric=name,
        ndcg_at_10=ndcg,
        map=mean_precision,
        spearman=spearman,
        accuracy=accuracy,
        ratio=value / base,
    )


def _check_labels(gold: NDArray[np.float64], labels: int) -> None:
    if labels > 1 and not np.isin(gold, np.arange(labels)).all():
        raise DataError(f"evaluation: expected labels from 0 to {labels - 1}, the index of the right one.")


def geometric_mean(values: Sequence[float]) -> float:
    """Of positive ratios; 0 for none."""
    return math.exp(sum(math.log(value) for value in values) / len(values)) if values else 0.0


def main_value(quality: Quality) -> float:
    """The metric that `ratio` is about; 0 where it is undefined."""
    found: float | None = getattr(quality, quality.main_metric)
    return found or 0.0


def _correlation(statistic: Callable[[Any, Any], Any], found: NDArray[Any], expected: NDArray[Any]) -> float:
    """NaN where `expected` is constant, so that there is no order to keep; 0 where only `found` is: it kept none."""
    if len(np.unique(expected)) < 2:
        return math.nan
    return float(statistic(found, expected).statistic) if len(np.unique(found)) > 1 else 0.0


def _worst(correlations: Iterable[float]) -> float | None:
    values = [float(value) for value in correlations]
    return None if any(math.isnan(value) for value in values) else min(values)
