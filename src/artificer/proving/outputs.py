"""What a session returns for the reference's texts, asked as a service asks."""

from collections.abc import Sequence

import numpy as np
from msgspec import Struct

from artificer.backends.session import Session
from artificer.inference import scoring
from artificer.inference.batching import plan
from artificer.inference.tokenization import TextTokenizer
from artificer.manifest import Metrics
from artificer.proving.reference_answers import Expected, Logits

BATCH_SENSITIVITY_PAIRS = 64
_BATCH_TOKENS = 1 << 14


class Outputs(Struct, frozen=True, kw_only=True):
    """What a session returned for all texts, and for the first ones in padded batches and one by one."""

    logits: Logits
    together_and_alone: tuple[Logits, Logits] | None = None


def outputs(session: Session, tokenizer: TextTokenizer, expected: Expected, *, with_batches: bool) -> Outputs:
    """What the session returns for the texts. Raises OverflowError when a logit is infinite."""
    found = scoring.score_texts(
        session, tokenizer, expected.pairs, collect=expected.task.collect, batch_size=expected.batch_size
    )
    if not np.isfinite(found).all():
        raise OverflowError("it returns infinite logits")
    if not with_batches:
        return Outputs(logits=found)
    return Outputs(logits=found, together_and_alone=_together_and_alone(session, tokenizer, expected))


def batch_metrics(found: Outputs, expected: Expected) -> Metrics:
    """`batch_score_max_abs`, where it was requested: the largest difference of a score between being computed alone and
    in a padded batch of mixed lengths."""
    if found.together_and_alone is None:
        return {}
    together, alone = (expected.task.scores(rows, expected.head) for rows in found.together_and_alone)
    return {"batch_score_max_abs": float(np.abs(together - alone).max())}


def _together_and_alone(session: Session, tokenizer: TextTokenizer, expected: Expected) -> tuple[Logits, Logits]:
    chosen = expected.pairs[:BATCH_SENSITIVITY_PAIRS]
    encoded = tokenizer.encode(chosen)
    rows = max(1, min(expected.batch_size, _BATCH_TOKENS // int(encoded.lengths.max())))
    if tokenizer.info.padded:
        batches = [list(range(start, min(start + rows, len(chosen)))) for start in range(0, len(chosen), rows)]
    else:
        batches = [batch.indices.tolist() for batch in plan(encoded.lengths, max_rows=rows, padded=False)]
    order = np.argsort(np.concatenate(batches))

    def rows_of(indices: Sequence[int]) -> Logits:
        batch = tokenizer.batch(encoded, indices)
        return expected.task.collect(session.run(batch), batch)

    together = np.concatenate([rows_of(batch) for batch in batches])[order]
    alone = np.concatenate([rows_of([i]) for i in range(len(chosen))])
    return together, alone
