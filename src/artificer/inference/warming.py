"""Run input shapes once at load, so that the first calls need not compile them, or open what computes batches."""

import time
from collections.abc import Iterable

import numpy as np

from artificer.backends.session import Inputs, Session
from artificer.inference.batching import DEFAULT_ROWS, DEFAULT_TOKENS, full_batches, single_buckets
from artificer.inference.tokenization import TextTokenizer

LATENCY_SECONDS = 0.5  # a 22.7 M model takes .2 to .3 s for all lengths


def warm_for_latency(session: Session, tokenizer: TextTokenizer) -> None:
    """What `load(objective="latency")` runs: single texts, and no further ones after half a second. It does nothing
    where no shape has to be compiled, or where texts are not padded to known ones."""
    if session.compiles_per_shape:
        end = time.perf_counter() + LATENCY_SECONDS
        for inputs in _singles(tokenizer):
            if time.perf_counter() > end:
                return
            session.run(inputs)


def warm(session: Session, tokenizer: TextTokenizer) -> None:
    """Run what `LoadedModel.warm` says."""
    compiles = session.compiles_per_shape
    for inputs in _singles(tokenizer) if compiles else [_blank(tokenizer, 1, 1)]:
        session.run(inputs)
    if (streams := session.parallelism()) > 1:
        batches = _batches(session, tokenizer) if compiles else [_blank(tokenizer, 1, 1)]
        for _ in session.run_many(inputs for inputs in batches for _ in range(streams)):
            pass


def _singles(tokenizer: TextTokenizer) -> Iterable[Inputs]:
    """A text of each length bucket, short ones first; none where texts are not padded."""
    lengths = single_buckets(tokenizer.max_length) if tokenizer.info.padded else []
    return (_blank(tokenizer, 1, length) for length in lengths)


def _batches(session: Session, tokenizer: TextTokenizer) -> Iterable[Inputs]:
    """A full batch of each length bucket; none where texts are not padded."""
    tokens = session.tuning.max_tokens or DEFAULT_TOKENS
    shapes = full_batches(tokenizer.max_length, DEFAULT_ROWS, tokens) if tokenizer.info.padded else []
    return (_blank(tokenizer, rows, width) for rows, width in shapes)


def _blank(tokenizer: TextTokenizer, rows: int, length: int) -> Inputs:
    return {name: np.ones((rows, length), dtype=np.int64) for name in tokenizer.inputs}
