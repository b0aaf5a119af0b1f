"""An open session against the reference: what it returns, and how far that is from what torch returns."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """What a session returned for all pairs, and for the first ones in padded batches and one by one."""

    logits: Logits
    together_and_alone: tuple[Logits, Logits] | None = None


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


def outputs(session: Session, tokenizer: TextTokenizer, expected: Expected, *, with_batches: bool) -> Outputs:
    """What the session returns for the pairs. Raises OverflowError when a logit is infinite."""
    found = scoring.score_texts(
        session, tokenizer, expected.pairs, collect=expected.task.collect, batch_size=expected.batch_size
    )
    if not np.isfinite(found).all():
        raise OverflowError("it returns infinite logits")
    if not with_batches:
        return Outputs(logits=found)
    return Outputs(logits=found, together_and_alone=_together_and_alone(session, tokenizer, expected))


def measure(found: Outputs, expected: Expected) -> Metrics:
    """The differences from the reference. `batch_score_max_abs`, where it was requested, is the largest difference of a
    score between being computed alone and in a padded batch of mixed lengths.

    No session runs here, so that an error is one of the task, and is not taken for a graph that cannot be run.
    """
    metrics = differences(expected.task, found.logits, expected.logits, expected.head, expected.pairs, expected.top_k)
    if found.together_and_alone is None:
        return metrics
    together, alone = (expected.task.scores(rows, expected.head) for rows in found.together_and_alone)
    return metrics | {"batch_score_max_abs": float(np.abs(together - alone).max())}


def _together_and_alone(session: Session, tokenizer: TextTokenizer, expected: Expected) -> tuple[Logits, Logits]:
    chosen = expected.pairs[:BATCH_SENSITIVITY_PAIRS]
    encoded = tokenizer.encode(chosen)
    rows = rows_at_once(int(encoded.lengths.max()), expected.batch_size)
    batches = [range(start, min(start + rows, len(chosen))) for start in range(0, len(chosen), rows)]

    def rows_of(indices: Sequence[int]) -> Logits:
        batch = tokenizer.batch(encoded, indices)
        return expected.task.collect(session.run(batch), batch)

    together = np.concatenate([rows_of(batch) for batch in batches])
    alone = np.concatenate([rows_of([i]) for i in range(len(chosen))])
    return together, alone
