"""Gold labels of pairs: whether they fit a model, and how good its logits are by them."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from artificer.manifest import Quality
from stages.core.errors import DataError
from stages.records.pairs import Pair

QualityOf = Callable[[NDArray[np.float32], Quality | None], Quality]
"""The quality of a model's outputs, given the reference's quality; None for the reference itself."""


def not_numbers(pairs: Sequence[Pair]) -> str | None:
    """Why these labels do not grade one label of a model, or None."""
    if pairs[0].label is None:
        return "it has no labels"
    if isinstance(pairs[0].label, tuple):
        return "it says which labels apply (`classes`), and the model has 1 label, which needs a number (`label`)"
    return None


def not_classes(pairs: Sequence[Pair], count: int) -> str | None:
    """Why these labels do not say which of a model's `count` labels apply, or None."""
    if pairs[0].label is None:
        return "it has no labels"
    if not isinstance(pairs[0].label, tuple):
        return f"it holds one number per pair (`label`), and the model has {count} labels, which need `classes`"
    return None


def by_numbers(pairs: Sequence[Pair], relevant_from: float) -> QualityOf:
    """Judge one logit per pair against graded labels."""
    from artificer.tasks.differences import group_by_query
    from stages.metrics.quality import ranking_quality

    numbers = [pair.label if isinstance(pair.label, float) else 0.0 for pair in pairs]
    groups = group_by_query([pair.query for pair in pairs])
    return lambda logits, reference: ranking_quality(logits, numbers, groups, relevant_from, reference)


def by_classes(pairs: Sequence[Pair], labels: Sequence[str]) -> QualityOf:
    """Judge several logits per pair against the labels that apply."""
    from stages.metrics.quality import class_quality

    gold = [gold_classes(pair, labels) for pair in pairs]
    return lambda logits, reference: class_quality(logits, gold, reference)


def gold_classes(pair: Pair, labels: Sequence[str]) -> frozenset[int]:
    """The indices of the labels that apply to a pair. Raises DataError for one that the model does not have."""
    assert isinstance(pair.label, tuple)
    found = set()
    for one in pair.label:
        index = labels.index(one) if isinstance(one, str) and one in labels else one
        if not isinstance(index, int) or index >= len(labels):
            raise DataError(
                f"evaluation: the model has no label {one!r}. Expected an index from 0 to {len(labels) - 1}, or one of "
                f"{', '.join(labels)}."
            )
        found.add(index)
    return frozenset(found)
