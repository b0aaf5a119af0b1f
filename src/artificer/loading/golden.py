"""The self-test at load: does this execution, on this machine, give the reference's outputs for the golden samples?

It is cheap (a few samples, one batch) and catches what no hash can: a wrong precision, a missing segment id, a doubled
activation, a tokenizer that does not belong to the graph, a runtime's wrong fusion.
"""

import numpy as np

from artificer.backends.session import Session
from artificer.errors import ScoreError, SelfTestError
from artificer.inference.scoring import score_encoded
from artificer.inference.tokenization import TextTokenizer
from artificer.manifest import Manifest
from artificer.selection.admission import Execution
from artificer.tasks.task import Task

# Beside three times what parity measured: rounding that other CPUs may add, relative to outputs above 1.
_SLACK = {"fp32": 1e-4, "gelu-approximation": 2e-3, "half": 5e-3, "int8": 5e-2}
_BF16_SLACK = 2e-2


def self_test(
    task: Task, session: Session, tokenizer: TextTokenizer, manifest: Manifest, execution: Execution
) -> float | None:
    """The largest absolute difference from a golden sample's output; None when the manifest has no golden samples.

    Raises:
        SelfTestError: a difference is beyond the tolerance, or the output has another size.
    """
    if not manifest.golden:
        return None
    variant, parity = execution.variant, execution.parity
    encoded = tokenizer.encode(task.text(each.inputs) for each in manifest.golden)
    expected = np.array([each.outputs[task.output] for each in manifest.golden], dtype=np.float32)
    try:
        found = score_encoded(session, tokenizer, encoded, collect=task.collect)
    except ScoreError as error:
        raise SelfTestError(f"{variant.id}: {error}") from None
    if found.shape != expected.shape:
        raise SelfTestError(
            f"{variant.id} returns {found.shape[1]} numbers per input, the manifest's golden samples have"
            f" {expected.shape[1]}."
        )
    difference = np.abs(found - expected)
    allowed = tolerance(execution, session) * np.maximum(1, np.abs(expected))
    allowed = allowed + 3 * (parity.metrics.get("output_max_abs") or 0.0)
    if (difference > allowed).any():
        row, label = np.unravel_index(int(np.argmax(difference - allowed)), difference.shape)
        raise SelfTestError(
            f"{variant.id} ({session.runtime}, {session.execution_precision}) does not reproduce golden[{row}]:"
            f" {task.output} {found[row, label]:.6g}, reference {expected[row, label]:.6g}, allowed difference"
            f" {allowed[row, label]:.2g}. Its scores would be wrong on this machine."
        )
    return float(difference.max())


def tolerance(execution: Execution, session: Session) -> float:
    """The slack for rounding, per unit of output above 1, beside what parity measured."""
    slack, parity = _SLACK[execution.variant.precision_class], execution.parity
    reduced = session.execution_precision != "f32" and parity.execution_precision == session.execution_precision
    return max(slack, _BF16_SLACK) if reduced else slack
