"""From pairs to logits, and from logits to scores. Knows no runtime."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from artificer.backends import Session
from artificer.errors import ScoreError
from artificer.manifest import Activation
from artificer.tokenization import Encoded, Pair, PairTokenizer


def logits(
    session: Session, tokenizer: PairTokenizer, pairs: Sequence[Pair], *, batch_size: int = 32
) -> NDArray[np.float32]:
    """Logits, `[len(pairs), labels]`, in input order; `[0, 0]` for no pairs.

    Pairs are batched by token length, longest first, so that little is padded.

    Raises:
        InputError: a text cannot be tokenized.
        ScoreError: the model returned NaN, or a shape other than `[batch, labels]`.
    """
    if not pairs:
        return np.empty((0, 0), dtype=np.float32)
    return score_encoded(session, tokenizer, tokenizer.encode(pairs), batch_size=batch_size)


def score_encoded(
    session: Session, tokenizer: PairTokenizer, encoded: Encoded, *, batch_size: int = 32
) -> NDArray[np.float32]:
    """As `logits`, for pairs that are tokenized already (at least one)."""
    order = np.argsort(-encoded.lengths, kind="stable")
    found: NDArray[np.float32] | None = None
    for start in range(0, len(order), batch_size):
        indices = order[start : start + batch_size]
        rows = session.run(tokenizer.batch(encoded, indices))
        check_logits(rows, len(indices))
        if found is None:
            found = np.empty((len(order), rows.shape[1]), dtype=np.float32)
        found[indices] = rows
    assert found is not None
    return found


def check_logits(rows: NDArray[np.float32], batch: int) -> None:
    """Raise ScoreError unless `rows` is `[batch, labels]` and holds no NaN."""
    if rows.ndim != 2 or rows.shape[0] != batch or rows.shape[1] < 1:
        raise ScoreError(f"The model returned logits of shape {rows.shape}, expected [{batch}, labels].")
    if np.isnan(rows).any():
        raise ScoreError("The model returned NaN for at least one pair: its scores cannot be trusted on this machine.")


def activate(logits: NDArray[np.float32], activation: Activation) -> NDArray[np.float32]:
    """Scores of logits `[..., labels]`, same shape; never overflows.

    `sigmoid` is per label, `softmax` over the last axis, `identity` returns the logits.
    """
    if activation == "identity":
        return logits
    if activation == "sigmoid":
        small = np.exp(-np.abs(logits))
        return np.where(logits >= 0, 1 / (1 + small), small / (1 + small)).astype(np.float32)
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    scores: NDArray[np.float32] = shifted / shifted.sum(axis=-1, keepdims=True)
    return scores
