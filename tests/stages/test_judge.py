"""Verdicts: each threshold on its own, what null means, and the sentences that say why."""

from typing import Any

import msgspec
import pytest

from artificer.manifest import ExecutionPrecision, Metrics, PrecisionClass, Quality
from artificer.proving.judging import judge, thresholds_class
from artificer.proving.measurement import Measurement

LIMITS: Metrics = {
    "score_max_abs": 0.01,
    "score_mean_abs": 0.001,
    "spearman": 0.99,
    "top_k_overlap": 0.9,
    "quality_ratio": 0.98,
}
NO_LIMITS: Metrics = dict.fromkeys(LIMITS)


def measurement(precision: ExecutionPrecision = "f32", **changes: Any) -> Measurement:
    """A measurement that is exactly at LIMITS, except `changes`."""
    values: dict[str, Any] = {
        "output_max_abs": 9.0,
        "output_mean_abs": 9.0,
        "score_max_abs": 0.01,
        "score_mean_abs": 0.001,
        "spearman": 0.99,
        "kendall": 0.0,
        "top_k": 5,
        "top_k_overlap": 0.9,
        "batch_score_max_abs": 9.0,
    }
    return Measurement(
        runtime_version="1.2.3",
        isa_class="avx2",
        execution_precision=precision,
        default_precision=True,
        metrics={**values, **changes},
    )


def quality(ratio: float) -> Quality:
    """A quality with that ratio to the reference's."""
    return Quality(main_metric="ndcg_at_10", metrics={"ndcg_at_10": 0.5}, ratio=ratio)


def test_figures_at_their_limits_pass() -> None:
    """A limit is what is still allowed; figures without a threshold are not judged."""
    found = judge(measurement(), LIMITS, quality(0.98))
    assert (found.verdict, found.reasons) == ("passed", ())
    assert found.thresholds == LIMITS
    assert (found.runtime_version, found.isa_class, found.execution_precision) == ("1.2.3", "avx2", "f32")


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("score_max_abs", 0.0123, "score_max_abs is 0.0123, at most 0.01"),
        ("score_mean_abs", 0.002, "score_mean_abs is 0.002, at most 0.001"),
        ("spearman", 0.98765, "spearman is 0.98765, at least 0.99"),
        ("top_k_overlap", 0.5, "top_k_overlap is 0.50000, at least 0.9"),
        ("score_max_abs", float("nan"), "score_max_abs is nan, at most 0.01"),
        ("score_mean_abs", float("inf"), "score_mean_abs is inf, at most 0.001"),
        ("top_k_overlap", float("nan"), "top_k_overlap is nan, at least 0.9"),
    ],
)
def test_each_missed_threshold_is_one_reason(name: str, value: float, reason: str) -> None:
    """A figure just beyond its limit fails alone, and the sentence gives both numbers. NaN is never within."""
    found = judge(measurement("f32", **{name: value}), LIMITS, quality(1.0))
    assert (found.verdict, found.reasons) == ("failed", (reason,))


@pytest.mark.parametrize("name", ["score_max_abs", "score_mean_abs", "spearman", "top_k_overlap"])
def test_a_metric_that_was_not_measured_has_missed_its_threshold(name: str) -> None:
    """A task that does not return a metric does not pass its threshold; a threshold of null asks for nothing."""
    found = measurement()
    metrics = {key: value for key, value in found.metrics.items() if key != name}
    without = msgspec.structs.replace(found, metrics=metrics)
    assert judge(without, LIMITS, quality(1.0)).reasons == (f"{name} was not measured",)
    assert judge(without, {**LIMITS, name: None}, quality(1.0)).verdict == "passed"


def test_null_is_no_distance_but_excuses_a_correlation() -> None:
    """The reference's outputs may have no order; a distance is always defined, and JSON has null for NaN."""
    assert judge(measurement(score_max_abs=None), LIMITS, None).reasons == ("score_max_abs was not measured",)
    assert judge(measurement(spearman=None), LIMITS, None).verdict == "passed"


def test_lost_quality_is_a_reason() -> None:
    """Quality on labelled data has a threshold of its own."""
    found = judge(measurement(), LIMITS, quality(0.97))
    assert found.verdict == "failed"
    assert found.reasons == ("ndcg_at_10 is 0.9700 of the reference's, at least 0.98",)


def test_all_reasons_are_given() -> None:
    """Every missed threshold is said at once, in the table's order."""
    worst = measurement(score_max_abs=1.0, score_mean_abs=1.0, spearman=-1.0, top_k_overlap=0.0)
    found = judge(worst, LIMITS, quality(0.0))
    assert [reason.split(" ")[0] for reason in found.reasons] == [
        "score_max_abs",
        "score_mean_abs",
        "spearman",
        "top_k_overlap",
        "ndcg_at_10",
    ]


def test_null_records_without_judging() -> None:
    """A threshold of null never fails anything."""
    worst = measurement(score_max_abs=1.0, score_mean_abs=1.0, spearman=-1.0, top_k_overlap=0.0)
    assert judge(worst, NO_LIMITS, quality(0.0)).verdict == "passed"


def test_quality_that_was_not_measured_is_not_judged() -> None:
    """Only the first measurement has a quality."""
    assert judge(measurement(), LIMITS, None).verdict == "passed"


@pytest.mark.parametrize(
    ("precision_class", "execution", "expected"),
    [
        ("fp32", "f32", "fp32"),
        ("fp32", "bf16", "half"),
        ("fp32", "f16", "half"),
        ("gelu-approximation", "f32", "gelu-approximation"),
        ("gelu-approximation", "bf16", "half"),
        ("half", "f32", "half"),
        ("int8", "f32", "int8"),
        ("int8", "bf16", "int8"),
    ],
)
def test_what_runs_in_half_precision_is_judged_as_half(
    precision_class: PrecisionClass, execution: ExecutionPrecision, expected: str
) -> None:
    """An fp32 graph that OpenVINO computes in bf16 is no fp32 result; int8 stays int8."""
    assert thresholds_class(precision_class, execution) == expected
