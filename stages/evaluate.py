"""Stage `evaluate`: quality on labelled pairs, of the reference and of every variant, from the logits of `parity`."""

from collections.abc import Callable, Sequence

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from artificer.manifest import Quality, canonical_json
from stages import figures, files, paths
from stages.data import DataFile, Pair, read_pairs
from stages.errors import DataError
from stages.params import load_params
from stages.parity import load_parity
from stages.reference import load_reference
from stages.spec import ModelSpec, load_spec

Judge = Callable[[NDArray[np.float32], Quality | None], Quality]


class QualityReport(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The reference's quality, and each variant's. Without a reference nothing was measured, and `reason` says why."""

    reference: Quality | None
    variants: dict[str, Quality]
    reason: str | None = None


def run(slug: str) -> None:
    """Write quality.json."""
    spec, params = load_spec(slug), load_params()
    data = read_pairs(paths.evaluation(slug))
    pairs = data.pairs[: params.parity.rows]
    reason = unfit(spec, data)
    if reason is not None:
        files.write_file(paths.quality(slug), canonical_json(QualityReport(reference=None, variants={}, reason=reason)))
        print(f"quality is not measured: {reason}")
        return
    judge = _judge(spec, pairs, params.data.relevant_from)
    expected = np.asarray(load_reference(slug).logits, dtype=np.float32)
    reference = judge(expected, None)
    variants = {
        variant.id: judge(np.asarray(variant.logits, dtype=np.float32), reference)
        for variant in load_parity(slug).values()
        if variant.logits
    }
    files.write_file(paths.quality(slug), canonical_json(QualityReport(reference=reference, variants=variants)))
    name = reference.main_metric
    print(f"{'torch':24} {name} {figures.main_value(reference):.4f}   ({spec.activation}, {len(pairs)} pairs)")
    for variant_id, quality in variants.items():
        print(f"{variant_id:24} {name} {figures.main_value(quality):.4f}   {100 * quality.ratio:.2f} %")


def load_quality(slug: str) -> QualityReport:
    """What `run` wrote."""
    return msgspec.json.decode(paths.quality(slug).read_bytes(), type=QualityReport)


def unfit(spec: ModelSpec, data: DataFile) -> str | None:
    """Why the set cannot judge a model with these labels, or None: numbers grade one label, and say nothing of which of
    several applies."""
    has_classes = isinstance(data.pairs[0].label, tuple)
    if has_classes == (len(spec.labels) > 1):
        return None
    found = "says which labels apply (`classes`)" if has_classes else "holds one number a pair (`label`)"
    return f"the data set {data.name} {found}, and the model has {len(spec.labels)} label(s)"


def _judge(spec: ModelSpec, pairs: Sequence[Pair], relevant_from: float) -> Judge:
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
