"""Verdicts: pure functions from figures and thresholds to passed or failed, with every reason."""

from artificer.manifest import Metrics, Parity, PrecisionClass, Quality
from stages.records.parity_records import Measurement

QUALITY_RATIO = "quality_ratio"  # a threshold, but no metric: it is of the quality


def thresholds_class(precision_class: PrecisionClass, measurement: Measurement) -> PrecisionClass:
    """Which thresholds apply: a graph executed in half precision is judged as such, unless it is int8 anyway."""
    if measurement.execution_precision != "f32" and precision_class != "int8":
        return "half"
    return precision_class


def judge(measurement: Measurement, thresholds: Metrics, quality: Quality | None) -> Parity:
    """The measurement with its verdict. `quality` is given where it was measured at this execution precision."""
    reasons = missed(measurement.metrics, thresholds, quality)
    return Parity(
        runtime_version=measurement.runtime_version,
        isa_class=measurement.isa_class,
        execution_precision=measurement.execution_precision,
        default_precision=measurement.default_precision,
        metrics=measurement.metrics,
        thresholds=thresholds,
        verdict="failed" if reasons else "passed",
        reasons=tuple(reasons),
        device=measurement.device,
    )


def missed(metrics: Metrics, thresholds: Metrics, quality: Quality | None) -> list[str]:
    """One sentence for each threshold that is missed. A metric that was not measured has missed its threshold. A null
    of a correlation misses none: the reference has no order.

    Of metrics whose name ends in `_abs` less is better, of all others more (`artificer.tasks.Task.differences`).
    """
    reasons = []
    for name, limit in thresholds.items():
        if limit is None or name == QUALITY_RATIO:
            continue
        found = metrics.get(name)
        is_distance = name.endswith("_abs")
        if found is None:
            if is_distance or name not in metrics:
                reasons.append(f"{name} was not measured")
        elif is_distance:
            if not found <= limit:
                reasons.append(f"{name} is {found:.3g}, at most {limit:g}")
        elif not found >= limit:
            reasons.append(f"{name} is {found:.5f}, at least {limit:g}")
    limit = thresholds.get(QUALITY_RATIO)
    if quality is not None and limit is not None and quality.ratio < limit:
        reasons.append(f"{quality.main_metric} is {quality.ratio:.4f} of the reference's, at least {limit}")
    return reasons
