"""How an execution differs from the reference: the task's own metrics, and what needs scipy beside them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from artificer.inference.tokenization import Text
from artificer.manifest import Head, Metrics
from artificer.tasks.differences import worst
from artificer.tasks.task import Task

Rows = NDArray[np.float32]


def differences(task: Task, found: Rows, expected: Rows, head: Head, texts: Sequence[Text], top_k: int) -> Metrics:
    """`Task.differences`, with `kendall`: Kendall's tau-b, the worst over the columns, null where it is undefined."""
    kendall = worst(_kendall(found[:, i], expected[:, i]) for i in range(found.shape[1]))
    return task.differences(found, expected, head, texts, top_k) | {"kendall": kendall}


def _kendall(found: Rows, expected: Rows) -> float | None:
    """None where `expected` is constant; 0 where only `found` is."""
    from scipy import stats

    if len(np.unique(expected)) < 2:
        return None
    return float(stats.kendalltau(found, expected).statistic) if len(np.unique(found)) > 1 else 0.0
