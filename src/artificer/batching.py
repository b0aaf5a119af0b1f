"""How encoded pairs are cut into batches: longest first, by a budget of tokens, so that little is padded."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MAX_TOKENS = 512
"""Tokens of one batch, padding included. Larger batches leave the CPU's caches and gain nothing (benchmarks/README)."""

_STEP = 2

# Widths for runtimes that compile per shape: 8 apart for short texts, then about an eighth more each.
_LADDER = (16, 24, 32, 40, 48, 56, 64, 72, 80, 96, 112, 128, 144, 160, 192, 224, 256, 288, 320, 384, 448, 512)


@dataclass(frozen=True, slots=True)
class Batch:
    """Positions of the pairs in a batch, `[rows]`, and the width that they are padded to."""

    indices: NDArray[np.int64]
    width: int


def bucket(length: int, max_length: int) -> int:
    """The least allowed width that holds `length` tokens; never more than `max_length` (unless `length` is)."""
    for width in _LADDER:
        if width >= length:
            return max(length, min(width, max_length))
    step = 64 if length <= 1024 else 256
    return max(length, min(-(-length // step) * step, max_length))


def buckets(max_length: int) -> list[int]:
    """The widths that `bucket` gives for lengths up to `max_length`, up to the ladder's end."""
    return sorted({bucket(length, max_length) for length in (*_LADDER, max_length) if length <= max_length})


def step(length: int, max_length: int) -> int:
    """A width for many pairs at once, where padding costs more than a new shape now and then: multiples of two, of
    twice that from 64 tokens on, and so on, so that at most a sixteenth is padding beyond 64 tokens."""
    size = _STEP
    while size * 16 < length:
        size *= 2
    return max(length, min(-(-length // size) * size, max_length))


def full_batches(max_length: int, max_rows: int) -> list[tuple[int, int]]:
    """Rows and width of every batch that `plan` fills with `step` as `widen` and its own budget; narrow ones first."""
    widths = sorted({step(length, max_length) for length in range(1, min(max_length, MAX_TOKENS) + 1)})
    return [(min(max_rows, MAX_TOKENS // width), width) for width in widths]


def plan(
    lengths: Sequence[int] | NDArray[np.int64],
    *,
    max_rows: int,
    max_tokens: int = MAX_TOKENS,
    widen: Callable[[int], int] | None = None,
) -> list[Batch]:
    """Batches that hold every position once; ties keep the input's order.

    Args:
        lengths: tokens of each pair.
        max_rows: the most pairs in a batch, at least 1.
        max_tokens: rows times width stay within this, but a batch has one row at least.
        widen: from the longest row's length to the batch's width; None for no more than that length.
    """
    sizes = np.asarray(lengths, dtype=np.int64)
    order = np.argsort(-sizes, kind="stable")
    batches: list[Batch] = []
    start = 0
    while start < len(order):
        width = int(sizes[order[start]])
        if widen is not None:
            width = widen(width)
        rows = max(1, min(max_rows, max_tokens // max(width, 1)))
        batches.append(Batch(order[start : start + rows], width))
        start += rows
    return batches
