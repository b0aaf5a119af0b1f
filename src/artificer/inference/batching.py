"""How encoded texts are cut into batches: longest first, by a budget of tokens, so that little is padded.

For a backend that compiles per shape, lengths are rounded up to *length buckets*, so that few shapes occur.
"""

from collections.abc import Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

DEFAULT_TOKENS = 512
"""The most tokens of one batch, padding included, where nothing was measured on a machine of this class
(`manifest.Tuning`). Larger batches may leave the CPU's caches."""

DEFAULT_ROWS = 32
"""The most texts of one batch, unless a call says otherwise: CrossEncoder's batch_size."""

_STEP = 4
_LADDER = (16, 24, 32, 40, 48, 56, 64, 72, 80, 96, 112, 128, 144, 160, 192, 224, 256, 288, 320, 384, 448, 512)
_FILLED = 0.75  # of a batch of a known shape: a remainder that fills less of it is cut into smaller ones


class Batch(Struct, frozen=True):
    """Positions of the texts in a batch, and the shape that they are padded to: `rows` is at least their number."""

    indices: NDArray[np.int64]
    rows: int
    width: int


def single_bucket(length: int, max_length: int) -> int:
    """The length bucket of a single text for a backend that compiles per shape: 8 apart for short ones, then about an
    eighth more each. Meeting the same shape again is worth more there than a few tokens less.

    Never more than `max_length` (unless `length` is).
    """
    for width in _LADDER:
        if width >= length:
            return max(length, min(width, max_length))
    return batch_bucket(length, max_length)


def batch_bucket(length: int, max_length: int) -> int:
    """The length bucket of a batch of several texts for such a backend: multiples of 4 up to 64 tokens, of 8 up to 128,
    of 16 up to 256, and so on. Never more than `max_length` (unless `length` is)."""
    size = _STEP
    while size * 16 < length:
        size *= 2
    return max(length, min(-(-length // size) * size, max_length))


def single_buckets(max_length: int) -> list[int]:
    """Every `single_bucket` up to `max_length` and the longest that is known, in ascending order."""
    return sorted({single_bucket(length, max_length) for length in range(1, min(max_length, _LADDER[-1]) + 1)})


def full_batches(max_length: int, max_rows: int, max_tokens: int = DEFAULT_TOKENS) -> list[tuple[int, int]]:
    """Rows and width of every batch that `plan` fills for a backend that compiles per shape; short ones first."""
    widths = sorted({batch_bucket(length, max_length) for length in range(1, min(max_length, max_tokens) + 1)})
    return [(_full(max_rows, max_tokens, width), width) for width in widths]


def plan(
    lengths: Sequence[int] | NDArray[np.int64],
    *,
    max_rows: int,
    max_tokens: int = DEFAULT_TOKENS,
    known_up_to: int | None = None,
    padded: bool = True,
) -> list[Batch]:
    """Batches that hold every position once; ties keep the input's order.

    Args:
        lengths: tokens of each text.
        max_rows: the most rows of a batch, at least 1.
        max_tokens: rows times width stay within this, but a batch has one row at least.
        known_up_to: the model's greatest length, for a backend that compiles per shape, and keeps what it compiled:
            rows are then powers of two, widths those of `batch_bucket` (`single_bucket` for a single text). None: no
            wider than the longest row, and as many rows as fit.
        padded: whether texts may be padded. If not, the texts of a batch have one length, which is its width.
    """
    sizes = np.asarray(lengths, dtype=np.int64)
    if not padded:
        return _of_one_length(sizes, max_rows, max_tokens)
    order = np.argsort(-sizes, kind="stable")
    known_width = batch_bucket if len(order) > 1 else single_bucket
    batches: list[Batch] = []
    start = 0
    while start < len(order):
        left = len(order) - start
        width = int(sizes[order[start]])
        if known_up_to is None:
            rows = min(left, max(1, min(max_rows, max_tokens // max(width, 1))))
        else:
            width = known_width(width, known_up_to)
            rows = _known_rows(left, _full(max_rows, max_tokens, width))
        batches.append(Batch(order[start : start + rows], rows, width))
        start += rows
    return batches


def _of_one_length(sizes: NDArray[np.int64], max_rows: int, max_tokens: int) -> list[Batch]:
    """Batches without padding, longest first."""
    batches: list[Batch] = []
    for width in sorted({int(size) for size in sizes}, reverse=True):
        same = np.flatnonzero(sizes == width)
        rows = max(1, min(max_rows, max_tokens // max(width, 1)))
        batches += [Batch(part, len(part), width) for part in np.split(same, range(rows, len(same), rows))]
    return batches


def _full(max_rows: int, max_tokens: int, width: int) -> int:
    """The largest power of two that is within both limits, at least 1."""
    return 1 << (max(1, min(max_rows, max_tokens // width)).bit_length() - 1)


def _known_rows(left: int, full: int) -> int:
    """A power of two up to `full`: the one above the texts that are left if they nearly fill it, else the one below."""
    if left >= full:
        return full
    above = 1 << (left - 1).bit_length()
    return above if left >= _FILLED * above else above // 2
