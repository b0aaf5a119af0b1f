"""What a model computes: one Protocol, one table. Nothing else tells one task from another.

The runtime half is here; `stages/tasks` has the half that building needs.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from artificer.backends.session import Inputs
from artificer.errors import ManifestError
from artificer.inference.loaded_model import LoadedModel
from artificer.inference.tokenization import Text
from artificer.manifest import MANIFEST_FILE, Head, Manifest, Metrics
from artificer.tasks.text_classification import TextClassification
from artificer.tasks.text_ranking import TextRanking


class Task(Protocol):
    """How named inputs become tensors, a graph's output becomes results, and how two results differ.

    `output` is the name of the graph's output that is read, `head` the kind of head that a manifest must have,
    `head_size` how many numbers it has per input (None: any number), `sample_inputs` the names of a golden sample's
    inputs, `model_class` the object that a service holds.
    """

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def output(self) -> str: ...  # noqa: D102

    @property
    def head(self) -> type[Head]: ...  # noqa: D102

    @property
    def head_size(self) -> int | None: ...  # noqa: D102

    @property
    def sample_inputs(self) -> tuple[str, ...]: ...  # noqa: D102

    @property
    def model_class(self) -> type[LoadedModel]: ...  # noqa: D102

    def text(self, inputs: Mapping[str, str]) -> Text:
        """A sample's named inputs as what the tokenizer takes."""
        ...

    def collect(self, output: NDArray[np.float32], inputs: Inputs) -> NDArray[np.float32]:
        """One row per input, `[batch, n]`, of the graph's output for a padded batch.

        Raises:
            ScoreError: the output has another shape than expected, or holds NaN.
        """
        ...

    def scores(self, rows: NDArray[np.float32], head: Head) -> NDArray[np.float32]:
        """What a caller gets for `rows`, same shape."""
        ...

    def differences(
        self, found: NDArray[np.float32], expected: NDArray[np.float32], head: Head, texts: Sequence[Text], top_k: int
    ) -> Metrics:
        """How far `found` is from `expected`, both `[inputs, n]`, by name.

        A name that ends in `_abs` is a distance, for which less is better; of all others more is better.
        `output_max_abs`, the largest absolute difference of the graph's output, must be among them. `top_k` is for
        metrics of an order; tasks without one ignore it.
        """
        ...


TASKS: dict[str, Task] = {task.name: task for task in (TextRanking(), TextClassification())}


def task_of(manifest: Manifest) -> Task:
    """The task of a manifest, whose head and golden samples are checked to be of its kind.

    Raises:
        ManifestError: this release does not know the task, or the manifest contradicts it.
    """
    task = TASKS.get(manifest.task)
    if task is None:
        raise ManifestError(
            f"{MANIFEST_FILE}: task: this release has no {manifest.task!r}; known: {', '.join(TASKS)}."
            " Upgrade the artificer package."
        )
    if not isinstance(manifest.head, task.head):
        raise ManifestError(
            f"{MANIFEST_FILE}: head: expected a {task.head.__name__} for {task.name},"
            f" found a {type(manifest.head).__name__}."
        )
    if task.head_size not in (None, manifest.head.size):
        raise ManifestError(
            f"{MANIFEST_FILE}: head: {task.name} has {task.head_size} number(s) per input, found {manifest.head.size}."
        )
    for i, golden in enumerate(manifest.golden):
        where = f"{MANIFEST_FILE}: golden[{i}]"
        if set(golden.inputs) != set(task.sample_inputs):
            raise ManifestError(f"{where}.inputs: expected {', '.join(task.sample_inputs)}.")
        if task.output not in golden.outputs:
            raise ManifestError(f"{where}.outputs: expected {task.output!r}.")
    return task
