"""What the labels of a data set say about a model: whether they fit it, and how good its logits are by them."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from artificer.manifest import Quality
from stages.core.errors import DataError
from stages.data import DataFile, Pair
from stages.metrics import figures
from stages.records.model_spec import ModelSpec

Judge = Callable[[NDArray[np.float32], Quality | None], Quality]


def unfit(spec: ModelSpec, data: DataFile) -> str | None:
    """Why the set cannot judge a model with these labels, or None: numbers grade one label, and say nothing of which of
    several applies."""
    if data.pairs[0].label is None:
        return f"the data set {data.name} has no labels"
    has_classes = isinstance(data.pairs[0].label, tuple)
    if has_classes == (len(spec.labels) > 1):
        return None
    found = "says which labels apply (`classes`)" if has_classes else "holds one number a pair (`label`)"
    return f"the data set {data.name} {found}, and the model has {len(spec.labels)} label(s)"


def judge(spec: ModelSpec, pairs: Sequence[Pair], relevant_from: float) -> Judge:
    """How logits of these pairs, which must fit the model (`unfit`), are judged: given the reference's quality, or None
    for the reference itself."""
    if len(spec.labels) > 1:
        gold = [gold_classes(pair, spec.labels) for pair in pairs]
        return lambda logits, reference: figures.class_quality(logits, gold, reference)
    labels = [pair.label if isinstance(pair.label, float) else 0.0 for pair in pairs]
    groups = figures.group_by_query([pair.query for pair in pairs])
    return lambda logits, reference: figures.quality(logits, labels, groups, relevant_from, reference)


def gold_classes(pair: Pair, labels: tuple[str, ...]) -> frozenset[int]:
    """The indices of the labels that apply to a pair. Raises DataError for one that the model does not have."""
    assert isinstance(pair.label, tuple)
    found = set()
    for one in pair.label:
        index = labels.index(one) if one in labels else one
        if not isinstance(index, int) or index >= len(labels):
            raise DataError(
                f"evaluation: the model has no label {one!r}. Expected an index from 0 to {len(labels) - 1}, or one of "
                f"{', '.join(labels)}."
            )
        found.add(index)
    return frozenset(found)
