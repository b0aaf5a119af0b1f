"""What a session is asked, and what the reference answers."""

from collections.abc import Sequence

import numpy as np
from msgspec import Struct, field
from numpy.typing import NDArray

from artificer.inference.tokenization import Text
from artificer.manifest import ClassifierHead, Head
from artificer.proving.measurement import LengthTexts
from artificer.tasks.task import Task

Logits = NDArray[np.float32]


class Expected(Struct, frozen=True, kw_only=True):
    """The texts that a session is asked, and the reference's `logits` for them, `[texts, labels]`. `lengths` are the
    texts of many lengths, none where these are not asked."""

    pairs: Sequence[Text]
    logits: Logits
    task: Task
    head: Head
    batch_size: int
    top_k: int
    lengths: LengthTexts = field(default_factory=LengthTexts)

    def score_gaps(self, found: Logits, expected: Logits) -> NDArray[np.float64]:
        """The largest absolute difference of a score of each row, `[rows]`, on the scale of `score_max_abs`: raw logits
        differ by a share of the reference's range."""
        gaps = np.abs(self.task.scores(found, self.head).astype(np.float64) - self.task.scores(expected, self.head))
        if isinstance(self.head, ClassifierHead) and self.head.activation == "identity":
            gaps = gaps / max(float(np.ptp(self.logits)), 1e-12)
        rows: NDArray[np.float64] = gaps.reshape(len(found), -1).max(axis=1)
        return rows
