"""Quality of a model on labelled pairs, as a ratio to the reference's: pure functions from logits and labels."""

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from artificer.manifest import Metrics, Quality
from artificer.tasks.differences import rankings, spearman
from stages.core.errors import DataError

Logits = NDArray[np.float32]
NDCG_CUT = 10


def ranking_quality(
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
    from sklearn.metrics import average_precision_score, ndcg_score

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
    found = spearman(scores, gold)
    metrics = {"ndcg_at_10": ndcg, "map": mean_precision, "spearman": found}
    return _with_ratio("spearman" if ndcg is None else "ndcg_at_10", metrics, reference)


def class_quality(logits: Logits, gold: Sequence[frozenset[int]], reference: Quality | None) -> Quality:
    """Quality of logits [pairs, labels] against the labels that apply to each pair; `ratio` as in `quality`.

    Exactly one each: accuracy of the highest logit. Any number: the mean over labels of the average precision of a
    label's logits over the pairs, of the labels that some pairs have and some have not; unlike F1 it needs no
    threshold. Raises DataError when the labels say nothing about the reference.
    """
    from sklearn.metrics import average_precision_score

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
    if accuracy is None:
        return _with_ratio("macro_average_precision", {"macro_average_precision": precision}, reference)
    return _with_ratio("accuracy", {"accuracy": accuracy}, reference)


def _with_ratio(main_metric: str, metrics: Metrics, reference: Quality | None) -> Quality:
    found = Quality(main_metric=main_metric, metrics=metrics, ratio=1.0)
    if reference is None and found.main_value <= 0:
        raise DataError(
            f"evaluation: the reference itself has {main_metric} {found.main_value:.3f} on these labels, so nothing "
            "can be compared with it. Expected labels that differ and that the model has learnt to follow."
        )
    base = found if reference is None else reference
    return msgspec.structs.replace(found, ratio=found.main_value / base.main_value)
