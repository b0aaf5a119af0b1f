"""The arithmetic of proof: pure functions from logits and labels to figures."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy import stats
from sklearn.metrics import average_precision_score, ndcg_score

from artificer.inference.scoring import activate
from artificer.manifest import Activation, Figures, Quality
from stages.core.errors import DataError

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
    """Quality of logits [pairs, 1] against gold numbers; `ratio` is to `reference`, 1 without one.

    NDCG@10 (linear gain, scikit-learn's ndcg_score) and MAP over queries with at least one relevant and one other
    passage, and Spearman with the gold labels over all pairs. Raises DataError when the labels say nothing about the
    reference.
    """
    gold = np.asarray(labels, dtype=np.float64)
    ndcg = mean_precision = None
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
    return _with_ratio(
        Quality(
            main_metric="spearman" if ndcg is None else "ndcg_at_10",
            ndcg_at_10=ndcg,
            map=mean_precision,
            spearman=spearman,
            accuracy=None,
            ratio=1.0,
        ),
        reference,
    )


def class_quality(logits: Logits, gold: Sequence[frozenset[int]], reference: Quality | None) -> Quality:
    """Quality of logits [pairs, labels] against the labels that apply to each pair; `ratio` as in `quality`.

    Exactly one each: accuracy of the highest logit. Any number: the mean over labels of the average precision of a
    label's logits over the pairs, of the labels that some pairs have and some have not; unlike F1 it needs no
    threshold. Raises DataError when the labels say nothing about the reference.
    """
    truth = np.zeros(logits.shape, dtype=bool)
    for i, indices in enumerate(gold):
        truth[i, sorted(indices)] = True
    accuracy = precision = None
    if all(len(indices) == 1 for indices in gold):
        accuracy = float(np.mean(truth[np.arange(len(gold)), logits.argmax(axis=1)]))
    else:
        judged = [k for k in range(logits.shape[1]) if 0 < truth[:, k].sum() < len(truth)]
        found = [float(average_precision_score(truth[:, k], logits[:, k])) for k in judged]
        precision = float(np.mean(found)) if found else 0.0
    return _with_ratio(
        Quality(
            main_metric="macro_average_precision" if accuracy is None else "accuracy",
            ndcg_at_10=None,
            map=None,
            spearman=None,
            accuracy=accuracy,
            ratio=1.0,
            macro_average_precision=precision,
        ),
        reference,
    )


def _with_ratio(found: Quality, reference: Quality | None) -> Quality:
    value = main_value(found)
    if reference is None and value <= 0:
        raise DataError(
            f"evaluation: the reference itself has {found.main_metric} {value:.3f} on these labels, so nothing can be "
            "compared with it. Expected labels that differ and that the model has learnt to follow."
        )
    return msgspec.structs.replace(found, ratio=value / (value if reference is None else main_value(reference)))


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
