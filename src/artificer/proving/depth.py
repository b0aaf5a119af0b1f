"""How much of a proof set to ask in the time that there is."""

from collections.abc import Sequence
from typing import NamedTuple

from artificer.proving.length_texts import BLOCK, EVERY_LENGTH_TO
from artificer.proving.outputs import BATCH_SENSITIVITY_PAIRS

FEWEST_PAIRS = 100
"""Of those that there are. The mean of fewer may be far from that of all, and their order says little."""
EVERY_SHORT_LENGTH_FROM = 0.25
FULL = ((1.0, 1.0), (1.0, 0.25), (1.0, 0.0625), (0.5, 0.0625), (0.25, 0.0625))
QUICK = ((0.25, 0.0625), (0.125, 0.0625), (0.0625, 0.03125), (0.03125, 0.03125))
"""Fractions of the pairs, and of the work beyond EVERY_LENGTH_TO tokens, from the most to the least: of executions that
need a record of the class, and of those whose records carry over. Below a quarter, short lengths are left out too, up
to three of four."""
_TOKENS_PER_CHARACTER = 0.25


class Depth(NamedTuple):
    """How many pairs, from the first on, and which texts of many lengths, by index."""

    pairs: int
    lengths: tuple[int, ...]


class Work(NamedTuple):
    """An estimate of the tokens that one execution computes, in the first process and in the second."""

    first: float
    second: float

    @property
    def all(self) -> float:
        """Of both."""
        return self.first + self.second


def depth_of(fraction: float, pairs: int, lengths: Sequence[int]) -> Depth:
    """The texts of a fraction: pairs from the start; lengths up to 64 tokens all, or every second, or every fourth; of
    those beyond, first the multiples of 32, then the others, as far as the share of their tokens reaches."""
    step = min(4, max(1, round(EVERY_SHORT_LENGTH_FROM / fraction)))
    short = [i for i, length in enumerate(lengths) if length <= EVERY_LENGTH_TO]
    kept = short[::step] if step > 1 else short
    if short and short[-1] not in kept:
        kept = [*kept, short[-1]]
    long = [i for i, length in enumerate(lengths) if length > EVERY_LENGTH_TO]
    room = fraction * sum(lengths[i] for i in long)
    # The longest, then multiples of 128, of 32, and what lies around them.
    for i in sorted(long, key=lambda i: (_rank(lengths[i], lengths[-1]), -lengths[i])):
        if fraction == 1.0 or lengths[i] <= room or i == long[-1]:
            kept.append(i)
            room -= lengths[i]
    return Depth(min(pairs, max(FEWEST_PAIRS, round(fraction * pairs))), tuple(sorted(kept)))


def work(depth: Depth, characters: Sequence[int], lengths: Sequence[int]) -> Work:
    """What the questions of `length_probe` and `outputs` compute, padding included."""
    pairs = _TOKENS_PER_CHARACTER * sum(characters[: depth.pairs])
    batches = 2 * _TOKENS_PER_CHARACTER * sum(characters[: min(depth.pairs, BATCH_SENSITIVITY_PAIRS)])
    asked = [lengths[i] for i in depth.lengths]
    # Alone, and in a batch of four; beyond EVERY_LENGTH_TO either, and in a batch of two.
    of_lengths = sum(5 * each if each <= EVERY_LENGTH_TO else 1.5 * each for each in asked)
    return Work(pairs + batches + of_lengths, of_lengths)


def _rank(length: int, longest: int) -> int:
    if length == longest:
        return 0
    return 1 if length % (4 * BLOCK) == 0 else 2 if length % BLOCK == 0 else 3
