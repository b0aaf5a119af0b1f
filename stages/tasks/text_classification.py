"""Text classification, the building half: any number of labels. One label is judged like a ranking."""

from collections.abc import Sequence

from stages.records.pairs import Pair
from stages.tasks import gold_labels


class TextClassificationBuilding:
    """See `stages.tasks.BuildingTask`."""

    name = "text-classification"
    model_class = "AutoModelForSequenceClassification"
    export_task = "text-classification"
    snippet = """model.predict([("Taps drip.", "Replace the washer.")])  # [pairs, labels], as in model.labels"""

    def contradiction(self, labels: Sequence[str]) -> str | None:  # noqa: ARG002
        """Any number of labels is accepted."""
        return None

    def unfit(self, labels: Sequence[str], pairs: Sequence[Pair]) -> str | None:
        """One label is graded by numbers; several need to know which of them apply."""
        return gold_labels.not_numbers(pairs) if len(labels) == 1 else gold_labels.not_classes(pairs, len(labels))

    def quality(self, labels: Sequence[str], pairs: Sequence[Pair], relevant_from: float) -> gold_labels.QualityOf:
        """Accuracy or macro-averaged precision (`metrics.quality.class_quality`); of one label, as for a ranking."""
        if len(labels) == 1:
            return gold_labels.by_numbers(pairs, relevant_from)
        return gold_labels.by_classes(pairs, labels)
