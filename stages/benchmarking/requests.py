"""What a service is asked: calls with a few inputs, each of a length that was not asked before."""

import random

from stages.records.pairs import Texts

CALLS = {1: 24, 10: 12, 30: 8}
"""Inputs of a call, and how many such calls: less for the larger, which take longer and vary less."""
_FEWEST_WORDS, _MOST_WORDS = 3, 120
_SEED = 0


def requests(workloads: dict[str, Texts]) -> dict[int, list[Texts]]:
    """Calls by their number of inputs, made of the workloads' pairs: each second text is cut, or repeated, to another
    number of words. Single calls each have their own number, so that no two have one length."""
    dice = random.Random(_SEED)
    pairs = [pair for texts in workloads.values() for pair in texts]

    def of(words: int) -> tuple[str, str]:
        first, second = dice.choice(pairs)
        own = second.split() or [second]
        return first, " ".join(own[i % len(own)] for i in range(words))

    span = range(_FEWEST_WORDS, _MOST_WORDS + 1)
    found: dict[int, list[Texts]] = {1: [[of(words)] for words in dice.sample(span, CALLS[1])]}
    for inputs, count in CALLS.items():
        if inputs > 1:
            found[inputs] = [[of(words) for words in dice.choices(span, k=inputs)] for _ in range(count)]
    return found


def first_calls(workloads: dict[str, Texts]) -> list[Texts]:
    """A call of each size that opens what a process opens at its first one."""
    pairs = [pair for texts in workloads.values() for pair in texts]
    return [[pairs[0]] * inputs for inputs in CALLS]
