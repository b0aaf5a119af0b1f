"""The building half of each task: what `artificer.tasks` does not need. One Protocol, one table.

A task is registered under one name in both halves.
"""

from collections.abc import Sequence
from typing import Protocol

from stages.records.pairs import Pair
from stages.tasks.gold_labels import QualityOf
from stages.tasks.text_classification import TextClassificationBuilding
from stages.tasks.text_ranking import TextRankingBuilding


class BuildingTask(Protocol):
    """What building needs to know of a task.

    `model_class` is the class of transformers that loads a checkpoint, `export_task` what optimum's exporters call the
    task, `snippet` the line of Python that the model card shows after `model = artificer.load(…)`.
    """

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def model_class(self) -> str: ...  # noqa: D102

    @property
    def export_task(self) -> str: ...  # noqa: D102

    @property
    def snippet(self) -> str: ...  # noqa: D102

    def contradiction(self, labels: Sequence[str]) -> str | None:
        """Why a checkpoint with these labels cannot have this task, or None."""
        ...

    def unfit(self, labels: Sequence[str], pairs: Sequence[Pair]) -> str | None:
        """Why labelled data cannot judge a model with these labels, or None."""
        ...

    def quality(self, labels: Sequence[str], pairs: Sequence[Pair], relevant_from: float) -> QualityOf:
        """How outputs for `pairs`, which must fit, are judged. A gold label of at least `relevant_from` is relevant."""
        ...


BUILDING_TASKS: dict[str, BuildingTask] = {
    task.name: task for task in (TextRankingBuilding(), TextClassificationBuilding())
}


def fitting_task(labels: Sequence[str]) -> str:
    """The first task of the table that a checkpoint with these labels can have."""
    return next(task.name for task in BUILDING_TASKS.values() if task.contradiction(labels) is None)


def has_one_label(task_name: str) -> bool:
    """Whether every model of the task has one label."""
    return BUILDING_TASKS[task_name].contradiction(("one", "other")) is not None


def pairs_problem(task_name: str, sample_inputs: Sequence[str]) -> str | None:
    """Why a task with these inputs cannot be built, or None: data sets and golden samples hold pairs of texts."""
    if len(sample_inputs) == 2:
        return None
    return f"{task_name} takes {len(sample_inputs)} input(s) ({', '.join(sample_inputs)}); the builder makes pairs"
