"""What is scored: short pairs from a file of sentence pairs, and long passages made here, both fixed."""

import json
import random
from pathlib import Path

_SUBJECTS = (
    "the river",
    "an old mill",
    "the harbour master",
    "a young violinist",
    "the night train",
    "her grandmother",
)
_VERBS = (
    "remembers",
    "repairs",
    "crosses",
    "describes",
    "measures",
    "paints",
    "avoids",
    "inherits",
    "photographs",
    "forgives",
)
_OBJECTS = (
    "a broken clock",
    "the northern coast",
    "seven letters",
    "an orchard",
    "the first frost",
    "a map of the city",
)
_TAILS = (
    "before dawn",
    "without a word",
    "for the third time",
    "in the rain",
    "as agreed",
    "against all advice",
)


def short_pairs(path: Path) -> list[tuple[str, str]]:
    """The `sentence1`, `sentence2` of each line of a JSON Lines file."""
    rows = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    return [(row["sentence1"], row["sentence2"]) for row in rows]


def passage(words: int, seed: int) -> str:
    """About `words` words of made-up prose."""
    dice, found = random.Random(seed), ""
    while len(found.split()) < words:
        parts = (dice.choice(group) for group in (_SUBJECTS, _VERBS, _OBJECTS, _TAILS))
        found += " ".join(parts).capitalize() + ". "
    return " ".join(found.split()[:words])


def long_set(turn: int = 0, count: int = 100) -> list[tuple[str, str]]:
    """One query and `count` passages of 20 to 420 words (about 20 to 500 tokens), evenly spread, shuffled.

    Each `turn` has other passages, of the same lengths in words.
    """
    sizes = [20 + round(400 * i / max(1, count - 1)) for i in range(count)]
    random.Random(turn).shuffle(sizes)
    query = "who repairs the broken clock of the harbour master before the first frost"
    return [(query, passage(size, 10_000 * turn + seed)) for seed, size in enumerate(sizes)]


def growing_pairs(count: int = 50) -> list[tuple[str, str]]:
    """Pairs of which no two have the same number of words, in a shuffled order: lengths never seen before."""
    pairs = [(passage(4, i), passage(3 + i, 1000 + i)) for i in range(count)]
    random.Random(1).shuffle(pairs)
    return pairs
