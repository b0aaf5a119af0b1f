"""Computing input shapes before the first calls do, for backends that compile for each shape."""

import time
from collections.abc import Sequence

import numpy as np

from artificer.backends.session import Inputs, Session
from artificer.inference.batching import DEFAULT_ROWS, DEFAULT_TOKENS, full_batches, single_buckets
from artificer.inference.tokenization import TextTokenizer

LATENCY_SECONDS = 0.5  # a 22.7 M model takes .2 to .3 s for all lengths


def warm_singles(
    session: Session, names: Sequence[str], max_length: int, *, rows: Sequence[int] = (1,), seconds: float | None = None
) -> None:
    """Compute every length bucket of a single text once, short ones first.

    Args:
        names: of the model's inputs.
        max_length: tokens of a text at most.
        rows: repeat it with batches of these numbers of rows.
        seconds: begin no further shape after that time; None computes all.
    """
    end = None if seconds is None else time.perf_counter() + seconds
    for length in single_buckets(max_length) if session.compiles_per_shape else [1]:
        for count in rows:
            if end is not None and time.perf_counter() > end:
                return
            session.run(_blank(names, count, length))


def warm_for_latency(session: Session, tokenizer: TextTokenizer) -> None:
    """What `load(objective="latency")` computes before it returns: single texts, for half a second at most, where the
    backend compiles for each shape, so that the first request of a length is no slower than the others."""
    if session.compiles_per_shape and tokenizer.info.padded:
        warm_singles(session, tokenizer.inputs, tokenizer.max_length, seconds=LATENCY_SECONDS)


def warm_batches(session: Session, names: Sequence[str], max_length: int) -> None:
    """Open the streams that compute batches side by side, and compute every full batch once in each. Does nothing where
    batches are computed one after the other."""
    streams = session.parallelism()
    if streams == 1:
        return
    budget = session.tuning.max_tokens or DEFAULT_TOKENS
    shapes = full_batches(max_length, DEFAULT_ROWS, budget) if session.compiles_per_shape else [(1, 1)]
    for _ in session.run_many(_blank(names, *shape) for shape in shapes for _ in range(streams)):
        pass


def _blank(names: Sequence[str], rows: int, length: int) -> Inputs:
    return {name: np.ones((rows, length), dtype=np.int64) for name in names}
