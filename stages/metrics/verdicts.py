"""Verdicts: pure functions from figures and thresholds to passed or failed, with every reason."""

from artificer.manifest import Figures, Parity, PrecisionClass, Quality, Thresholds
from stages.parity import Measurement


def thresholds_class(precision_class: PrecisionClass, measurement: Measurement) -> PrecisionClass:
    """Which thresholds apply: a graph executed in half precision is judged as such, unless it is int8 anyway."""
    if measurement.execution_precision != "f32" and precision_class != "int8":
        return "half"
    return precision_class


def judge(measurement: Measurement, thresholds: Thresholds, quality: Quality | None) -> Parity:
    """The measurement with its verdict. `quality` is given where it was measured at this execution precision."""
    reasons = missed(measurement.figures, thresholds, quality)
    return Parity(
        runtime_version=measurement.runtime_version,
        isa_class=measurement.isa_class,
        execution_precision=measurement.execution_precision,
        default_precision=measurement.default_precision,
        figures=measurement.figures,
        thresholds=thresholds,
        verdict="failed" if reasons else "passed",
        reasons=tuple(reasons),
        device=measurement.device,
    )


def missed(figures: Figures, thresholds: Thresholds, quality: Quality | None) -> list[str]:
    """One sentence for each threshold that is missed. An undefined correlation misses none: there is no order."""
    reasons = []
    for name in ("score_max_abs", "score_mean_abs"):
        found, limit = getattr(figures, name), getattr(thresholds, name)
        if limit is not None and not found <= limit:
            reasons.append(f"{name} is {found:.3g}, at most {limit:g}")
    for name in ("spearman", "top_k_overlap"):
        found, limit = getattr(figures, name), getattr(thresholds, name)
        if limit is not None and found is not None and not found >= limit:
            reasons.append(f"{name} is {found:.5f}, at least {limit:g}")
    if quality is not None and thresholds.quality_ratio is not None and quality.ratio < thresholds.quality_ratio:
        reasons.append(
            f"{quality.main_metric} is {quality.ratio:.4f} of the reference's, at least {thresholds.quality_ratio}"
        )
    return reasons
