"""Text ranking, the building half: one label, judged by the order of each query's passages."""

from collections.abc import Sequence

from stages.records.pairs import Pair
from stages.tasks import gold_labels


class TextRankingBuilding:
    """See `stages.tasks.BuildingTask`."""

    name = "text-ranking"
    model_class = "AutoModelForSequenceClassification"
    export_task = "text-classification"
    snippet = """passages = ["Brass is an alloy.", "A dripping tap stops when you replace its washer."]
model.rank("how do I stop a tap from dripping", passages)"""

    def contradiction(self, labels: Sequence[str]) -> str | None:
        """A reranker has one label."""
        if len(labels) == 1:
            return None
        return f"text-ranking needs a checkpoint with one label; this one has {len(labels)}: use text-classification"

    def unfit(self, labels: Sequence[str], pairs: Sequence[Pair]) -> str | None:  # noqa: ARG002
        """Relevance is a number."""
        return gold_labels.not_numbers(pairs)

    def quality(
        self,
        labels: Sequence[str],  # noqa: ARG002
        pairs: Sequence[Pair],
        relevant_from: float,
    ) -> gold_labels.QualityOf:
        """NDCG@10, MAP and Spearman's rho (`metrics.quality.ranking_quality`)."""
        return gold_labels.by_numbers(pairs, relevant_from)
