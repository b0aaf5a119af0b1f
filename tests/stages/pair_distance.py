"""A third task of pairs, both halves: how far two texts are apart. Registered by the test, without editing a module."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from artificer.backends.session import Inputs
from artificer.inference.tokenization import Text
from artificer.manifest import Head, Metrics, Quality
from artificer.tasks.differences import spearman
from artificer.tasks.pair_model import PairModel, PairTask
from stages.records.pairs import Pair

Rows = NDArray[np.float32]


class PairDistance(PairTask):
    """A graph that returns one number for every token; a pair's distance is their maximum."""

    name = "pair-distance"
    output = "distances"
    model_class: type[PairModel] = PairModel

    def collect(self, output: Rows, inputs: Inputs) -> Rows:
        """The maximum over the tokens that are not padding."""
        found: Rows = np.where(inputs["attention_mask"] == 1, output, -np.inf).max(axis=1, keepdims=True)
        return found.astype(np.float32)

    def scores(self, rows: Rows, head: Head) -> Rows:  # noqa: ARG002
        """Distances have no activation."""
        return rows

    def differences(
        self,
        found: Rows,
        expected: Rows,
        head: Head,  # noqa: ARG002
        texts: Sequence[Text],  # noqa: ARG002
        top_k: int,  # noqa: ARG002
    ) -> Metrics:
        """By value and by order; there is no top of a query's passages."""
        gap = np.abs(found - expected)
        return {
            "output_max_abs": float(gap.max()),
            "score_max_abs": float(gap.max()),
            "score_mean_abs": float(gap.mean()),
            "spearman": spearman(found[:, 0], expected[:, 0]),
        }


class PairDistanceBuilding:
    """The building half: quality is the mean closeness to the labelled distance."""

    name = "pair-distance"
    model_class = "AutoModelForSequenceClassification"
    export_task = "text-classification"
    snippet = 'model.predict([("Paris", "Lyon")])'

    def contradiction(self, labels: Sequence[str]) -> str | None:
        """A distance is one number."""
        return None if len(labels) == 1 else "a distance is one number"

    def unfit(self, labels: Sequence[str], pairs: Sequence[Pair]) -> str | None:  # noqa: ARG002
        """Any number is a distance."""
        return None if isinstance(pairs[0].label, float) else "it has no distances"

    def quality(
        self,
        labels: Sequence[str],  # noqa: ARG002
        pairs: Sequence[Pair],
        relevant_from: float,  # noqa: ARG002
    ) -> Callable[[Rows, Quality | None], Quality]:
        """Closeness: 1 / (1 + mean absolute error)."""
        gold = np.array([pair.label for pair in pairs], dtype=np.float64)

        def judge(rows: Rows, reference: Quality | None) -> Quality:
            value = float(1 / (1 + np.abs(rows[:, 0] - gold).mean()))
            ratio = value / reference.main_value if reference else 1.0
            return Quality(main_metric="closeness", metrics={"closeness": value}, ratio=ratio)

        return judge
