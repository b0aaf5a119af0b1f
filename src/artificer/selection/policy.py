"""What the caller of `artificer.load` wants of a variant, and what it tolerates."""

from typing import Literal

from msgspec import Struct

from artificer.manifest import Device, ExecutionPrecision, Parity, Runtime, Variant
from artificer.manifest.metric_names import LENGTH_METRIC, QUALITY_RATIO

Objective = Literal["latency", "throughput", "size"]
Accuracy = Literal["near", "exact", "any"]


class Policy(Struct, frozen=True, kw_only=True):
    """What the caller wants and what it tolerates.

    Attributes:
        objective: `latency` ranks by the median time of a call with one input of a new length, or of the smallest batch
            where that was not measured for all executions; `throughput` by inputs per second of the larger batches,
            `size` by bytes.
        accuracy: how far scores may be from the reference's, among executions that passed. `near`: float32, half
            precisions, and int8 where its quality on labelled data was measured and passes its threshold. `exact`:
            variants of the fp32 class, computed in float32: the reference's scores to float rounding. `any`: whatever
            passed.
        batch_invariant: only executions whose scores do not depend on what else is in the batch: those that parity
            measured to move by float32 rounding at most (`BATCH_ROUNDING`).
        quality_floor: the least quality on the labelled data, as a ratio to the reference's; None trusts the verdict.
        memory_ceiling_bytes: the most resident memory, as measured by the builder, else the files' size.
        runtime: only the backend of this name.
        device: `cpu` or `cuda` alone; None takes an NVIDIA GPU where a variant is proven on it and was measured as
            the fastest there, else the CPU.
    """

    objective: Objective = "throughput"
    accuracy: Accuracy = "near"
    batch_invariant: bool = False
    quality_floor: float | None = None
    memory_ceiling_bytes: int | None = None
    runtime: Runtime | None = None
    device: Device | None = None


BATCH_METRIC = "batch_score_max_abs"
"""A metric of records: the largest difference of a score between being computed alone and in a mixed batch."""
BATCH_ROUNDING = 2e-5
"""How far a score may move and count as unmoved. float32 adds up in another order in another shape: each score is off
by up to 6e-6 in a model of 24 layers (decision 21), so that two of them differ by up to 1.2e-5. Dynamic int8 moves by
1e-2 and more."""
DEFAULT_POLICY = Policy()


def quality_ratio(variant: Variant, record: Parity, *, is_own: bool) -> float | None:
    """Quality over the reference's, of this execution; None where it was not measured.

    Manifests of schema 2.0 have it of the variant alone, which was in its own precision.
    """
    own = record.metrics.get(QUALITY_RATIO)
    if own is None and variant.quality is not None and is_own:
        return variant.quality.ratio
    return own


def accuracy_problem(
    accuracy: Accuracy, variant: Variant, precision: ExecutionPrecision, record: Parity | None, *, is_own: bool
) -> str | None:
    """Why an execution, which passed, is not accurate enough; None if it is.

    `record` is its proof, None for none; `is_own` says that it is what the variant was built for: in its own precision,
    in the runtime's own way.
    """
    if accuracy == "exact":
        if variant.precision_class != "fp32":
            return f"its precision class is {variant.precision_class}, and exact scores were requested"
        if precision != "f32":
            return f"it computes in {precision}, and exact scores were requested"
    if accuracy != "near" or record is None:
        return None
    if not is_own and LENGTH_METRIC not in record.metrics:
        return "it was not compared with the reference at every length: build the model again, or pass accuracy='any'"
    if variant.precision_class == "int8":
        ratio, least = quality_ratio(variant, record, is_own=is_own), record.thresholds.get(QUALITY_RATIO)
        if ratio is None:
            return "it is int8 and its quality was not measured: pass accuracy='any' to use it"
        if least is None:
            return "it is int8 and its quality is not judged: pass accuracy='any' to use it"
        if ratio < least:
            return f"it is int8 and its quality ratio {ratio:.4f} is below {least:g}: pass accuracy='any' to use it"
    return None


def movement_problem(record: Parity) -> str | None:
    """Why an execution's scores may depend on their batch; None if they do not."""
    movement = record.metrics.get(BATCH_METRIC)
    if movement is None:
        return "how far its scores move with the batch was not measured, and batch_invariant was requested"
    if movement > BATCH_ROUNDING:
        return f"its scores move with the batch by up to {movement:.2g}, and batch_invariant was requested"
    return None
