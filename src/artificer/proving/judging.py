"""Verdicts: pure functions from figures and thresholds to passed or failed, with every reason."""

from collections.abc import Sequence

from artificer.manifest import ExecutionPrecision, LengthRange, Metrics, Parity, PrecisionClass, Quality
from artificer.manifest.metric_names import LENGTH_METRIC, QUALITY_RATIO
from artificer.proving.measurement import Measurement

_MOST_RANGES = 5


def thresholds_class(precision_class: PrecisionClass, precision: ExecutionPrecision) -> PrecisionClass:
    """Which thresholds apply: a graph executed in half precision is judged as such, unless it is int8 anyway."""
    return "half" if precision != "f32" and precision_class != "int8" else precision_class


def judge(measurement: Measurement, thresholds: Metrics, quality: Quality | None) -> Parity:
    """The measurement with its verdict. `quality` is this execution's, None where it was not measured."""
    reasons = missed(measurement.metrics, thresholds, quality, measurement.faulty_lengths)
    ratio: Metrics = {} if quality is None else {QUALITY_RATIO: quality.ratio}
    return Parity(
        runtime_version=measurement.runtime_version,
        isa_class=measurement.isa_class,
        execution_precision=measurement.execution_precision,
        default_precision=measurement.default_precision,
        metrics=measurement.metrics | ratio,
        thresholds=thresholds,
        verdict="failed" if reasons else "passed",
        reasons=tuple(reasons),
        device=measurement.device,
        settings=measurement.settings,
        faulty_lengths=measurement.faulty_lengths,
    )


def missed(
    metrics: Metrics, thresholds: Metrics, quality: Quality | None, faulty_lengths: Sequence[LengthRange] = ()
) -> list[str]:
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
                at = f" ({named_lengths(faulty_lengths)})" if name == LENGTH_METRIC and faulty_lengths else ""
                reasons.append(f"{name} is {found:.3g}, at most {limit:g}{at}")
        elif not found >= limit:
            reasons.append(f"{name} is {found:.5f}, at least {limit:g}")
    limit = thresholds.get(QUALITY_RATIO)
    if quality is not None and limit is not None and quality.ratio < limit:
        reasons.append(f"{quality.main_metric} is {quality.ratio:.4f} of the reference's, at least {limit}")
    return reasons


def named_lengths(ranges: Sequence[LengthRange]) -> str:
    """`29-32 and 61 tokens`; of many ranges the first ones."""
    shown = [str(first) if first == last else f"{first}-{last}" for first, last in ranges]
    if len(shown) > _MOST_RANGES:
        shown = [*shown[:_MOST_RANGES], f"{len(shown) - _MOST_RANGES} more ranges of"]
    return " and ".join(filter(None, [", ".join(shown[:-1]), shown[-1]])) + " tokens"
