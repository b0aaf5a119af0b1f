"""Stage `evaluate`: quality on labelled pairs, of the reference and of every variant, from the logits of `parity`."""

import numpy as np

from stages.core import paths
from stages.core.params import load_params
from stages.records.model_spec import load_spec
from stages.records.pairs import read_pairs
from stages.records.parity_records import load_parity
from stages.records.quality_report import QualityReport, write_quality
from stages.records.reference_outputs import load_reference
from stages.tasks import BUILDING_TASKS


def run(slug: str) -> None:
    """Write quality.json."""
    spec, params = load_spec(slug), load_params()
    data = read_pairs(paths.evaluation(slug))
    pairs = data.pairs[: params.parity.rows]
    task = BUILDING_TASKS[spec.task]
    reason = task.unfit(spec.labels, pairs)
    if reason is not None:
        reason = f"data set {data.name}: {reason}"
        write_quality(slug, QualityReport(reference=None, variants={}, reason=reason))
        print(f"quality is not measured: {reason}")
        return
    judge = task.quality(spec.labels, pairs, data.relevance(params.data.relevant_from))
    expected = np.asarray(load_reference(slug).logits, dtype=np.float32)
    reference = judge(expected, None)
    variants = {
        variant.id: judge(np.asarray(variant.logits, dtype=np.float32), reference)
        for variant in load_parity(slug).values()
        if variant.logits
    }
    write_quality(slug, QualityReport(reference=reference, variants=variants))
    name = reference.main_metric
    print(f"{'torch':24} {name} {reference.main_value:.4f}   ({spec.activation}, {len(pairs)} pairs)")
    for variant_id, quality in variants.items():
        print(f"{variant_id:24} {name} {quality.main_value:.4f}   {100 * quality.ratio:.2f} %")
