"""Stage `evaluate`: quality on labelled pairs, of the reference and of every execution, from the logits of `parity`."""

import numpy as np

from artificer.manifest import Quality
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
    name = reference.main_metric
    print(f"{'torch':24} {name} {reference.main_value:.4f}   ({spec.activation}, {len(pairs)} pairs)")
    executions: dict[str, tuple[Quality, ...]] = {}
    for variant in load_parity(slug).values():
        found = []
        for measurement, logits in zip(variant.measurements, variant.logits, strict=True):
            found.append(judge(np.asarray(logits, dtype=np.float32), reference))
            label, quality = measurement.label(variant.id), found[-1]
            print(f"{label:24} {name} {quality.main_value:.4f}   {100 * quality.ratio:.2f} %")
        if found:
            executions[variant.id] = tuple(found)
    variants = {variant_id: found[0] for variant_id, found in executions.items()}
    write_quality(slug, QualityReport(reference=reference, variants=variants, executions=executions))
