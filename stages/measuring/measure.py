"""One open session against the reference: its logits, and how far they are from torch's."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from artificer.backends.session import Session
from artificer.inference import scoring
from artificer.inference.tokenization import TextTokenizer
from artificer.manifest import Head, Metrics
from artificer.tasks.task import TASKS, Task
from stages.core import paths
from stages.core.batch_rows import rows_at_once
from stages.core.params import ParityParams
from stages.metrics.parity_metrics import differences
from stages.records.model_spec import ModelSpec
from stages.records.pairs import Texts, read_pairs
from stages.records.reference_outputs import load_reference

Logits = NDArray[np.float32]
BATCH_SENSITIVITY_PAIRS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """The pairs that a session is asked, and what torch answers: `logits` [pairs, labels]."""

    pairs: Texts
    logits: Logits
    task: Task
    head: Head
    batch_size: int
    top_k: int


def load_expected(spec: ModelSpec, params: ParityParams, rows: int) -> Expected:
    """The first `rows` pairs of the evaluation set with the reference's logits."""
    pairs = read_pairs(paths.evaluation(spec.slug)).texts(rows)
    return Expected(
        pairs=pairs,
        logits=np.asarray(load_reference(spec.slug).logits[: len(pairs)], dtype=np.float32),
        task=TASKS[spec.task],
        head=spec.head,
        batch_size=params.batch_size,
        top_k=params.top_k,
    )


def measure(
    session: Session, tokenizer: TextTokenizer, expected: Expected, *, with_batches: bool
) -> tuple[Logits, Metrics]:
    """The session's logits, and their differences from the reference; `with_batches` also measures how much the
    composition of a batch moves a score. Raises OverflowError when a logit is infinite."""
    found = scoring.score_texts(
        session, tokenizer, expected.pairs, collect=expected.task.collect, batch_size=expected.batch_size
    )
    if not np.isfinite(found).all():
        raise OverflowError("it returns infinite logits")
    metrics = differences(expected.task, found, expected.logits, expected.head, expected.pairs, expected.top_k)
    if with_batches:
        metrics = metrics | {"batch_score_max_abs": batch_sensitivity(session, tokenizer, expected)}
    return found, metrics


def batch_sensitivity(session: Session, tokenizer: TextTokenizer, expected: Expected) -> float:
    """The largest difference of a score between being computed alone and in a padded batch of mixed lengths."""
    chosen = expected.pairs[:BATCH_SENSITIVITY_PAIRS]
    encoded = tokenizer.encode(chosen)
    rows = rows_at_once(int(encoded.lengths.max()), expected.batch_size)
    batches = [range(start, min(start + rows, len(chosen))) for start in range(0, len(chosen), rows)]

    def rows_of(indices: Sequence[int]) -> Logits:
        batch = tokenizer.batch(encoded, indices)
        return expected.task.collect(session.run(batch), batch)

    together = np.concatenate([rows_of(batch) for batch in batches])
    alone = np.concatenate([rows_of([i]) for i in range(len(chosen))])
    gap = np.abs(expected.task.scores(together, expected.head) - expected.task.scores(alone, expected.head))
    return float(gap.max())
