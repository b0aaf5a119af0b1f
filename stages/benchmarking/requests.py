"""Calls as a service gets them: with few inputs, of mixed lengths that are new to the process."""

import random
from itertools import chain

from stages.records.pairs import Texts

CALLS = {1: 24, 10: 8, 30: 4}
"""Inputs of a call, and the number of such calls. There are fewer large ones: they take longer and vary less."""
_FEWEST_WORDS, _MOST_WORDS = 3, 120
_SEED = 0


def requests(workloads: dict[str, Texts], max_length: int) -> dict[int, list[Texts]]:
    """Calls by their number of inputs, made of the workloads' pairs: each second text is cut, or repeated, to another
    number of words, at most half of `max_length` (tokens), so that few texts are cut at that. No two calls with one
    input have the same number, unless there are too few."""
    dice, pairs = random.Random(_SEED), [*chain.from_iterable(workloads.values())]

    def of(words: int) -> tuple[str, str]:
        first, second = dice.choice(pairs)
        own = second.split() or [second]
        return first, " ".join(own[i % len(own)] for i in range(words))

    span = range(_FEWEST_WORDS, max(_FEWEST_WORDS, min(_MOST_WORDS, max_length // 2)) + 1)
    singles = dice.sample(span, CALLS[1]) if len(span) >= CALLS[1] else dice.choices(span, k=CALLS[1])
    found: dict[int, list[Texts]] = {1: [[of(words)] for words in singles]}
    for inputs, count in CALLS.items():
        if inputs > 1:
            found[inputs] = [[of(words) for words in dice.choices(span, k=inputs)] for _ in range(count)]
    return found


def first_calls(workloads: dict[str, Texts]) -> list[Texts]:
    """One call of each size, so that what a process opens at its first call is not timed later."""
    pair = next(chain.from_iterable(workloads.values()))
    return [[pair] * inputs for inputs in CALLS]
