"""How far an execution's outputs are from the reference's."""

from artificer.manifest import Metrics
from artificer.proving.outputs import Outputs, batch_metrics
from artificer.proving.reference_answers import Expected
from stages.metrics.parity_metrics import differences


def measure(found: Outputs, expected: Expected) -> Metrics:
    """The differences from the reference. No session runs here."""
    metrics = differences(expected.task, found.logits, expected.logits, expected.head, expected.pairs, expected.top_k)
    return metrics | batch_metrics(found, expected)
