"""Texts of many token lengths: kernels change with the length, and so may their faults.

Every length up to 64 is asked, then those around each multiple of 32, where kernels change blocks.
"""

from collections.abc import Iterator, Sequence
from itertools import chain

from artificer.inference.tokenization import Pair, TextTokenizer

EVERY_LENGTH_TO = 64
BLOCK = 32
_AROUND = (range(-3, 5), range(-1, 3), range(2), range(1))
"""Which lengths around a multiple of BLOCK are asked, from the most to the fewest."""
_STARTS = 16
_WORD_TRIES = 64


def lengths_to_ask(max_length: int, *, up_to: int, tokens: int) -> list[int]:
    """The lengths to ask of a model, ascending: those up to EVERY_LENGTH_TO; then those around each multiple of BLOCK
    up to the model's maximum, or `up_to` if that is less.

    Args:
        tokens: the most that the lengths beyond EVERY_LENGTH_TO may sum up to. Where all are more, fewer are asked
            around each multiple, then fewer multiples; the longest is always asked.
    """
    last = min(max_length, up_to)
    short = list(range(1, min(last, EVERY_LENGTH_TO) + 1))
    long: list[int] = []
    for around, step in [*((each, BLOCK) for each in _AROUND), *((_AROUND[-1], BLOCK * 2**n) for n in range(1, 20))]:
        multiples = range(last - last % step, EVERY_LENGTH_TO, -step)
        found = {multiple + offset for multiple in multiples for offset in around} | {last}
        long = sorted(length for length in found if EVERY_LENGTH_TO < length <= last)
        if sum(long) <= tokens:
            break
    return short + long


def texts_of_lengths(tokenizer: TextTokenizer, pairs: Sequence[Pair], lengths: Sequence[int]) -> list[tuple[Pair, int]]:
    """A pair of texts for each length that can be met, made of the pairs' own words, each with its length.

    Equal arguments give equal texts. A length is left out where no text of it is found: those below the special tokens
    and a token of each text, and few others.
    """
    found = []
    words = [(query.split() or [query], passage.split() or [passage]) for query, passage in pairs]
    single = _single_tokens(tokenizer, chain.from_iterable(passage for _, passage in words))
    for place, length in enumerate(lengths):
        starts = ((place * 7 + i) % len(words) for i in range(min(_STARTS, len(words))))
        made = (_of_length(tokenizer, words, start, single, length) for start in starts)
        text = next((each for each in made if each is not None), None)
        if text is not None:
            found.append((text, length))
    return found


def _of_length(
    tokenizer: TextTokenizer, words: Sequence[tuple[list[str], list[str]]], start: int, single: list[str], length: int
) -> Pair | None:
    """The query of pair `start`, at most a third of the tokens, and as much of the passages from there on as fits; the
    last tokens are words of one token each."""
    query = " ".join(words[start][0][: max(1, length // 6)])
    ordered = chain(range(start, len(words)), range(start))
    passage = list(_first(chain.from_iterable(words[i][1] for i in ordered), length))
    low, high = 1, len(passage)
    while low < high:  # the most words that are not too long
        middle = (low + high + 1) // 2
        if _size(tokenizer, query, passage[:middle]) <= length:
            low = middle
        else:
            high = middle - 1
    for count in range(low, max(0, low - 3), -1):
        missing = length - _size(tokenizer, query, passage[:count])
        if missing < 0 or (missing and not single):
            continue
        filled = passage[:count] + [single[(start + i) % len(single)] for i in range(missing)]
        if _size(tokenizer, query, filled) == length:
            return query, " ".join(filled)
    return None


def _single_tokens(tokenizer: TextTokenizer, words: Iterator[str]) -> list[str]:
    """Some words that add one token to a text."""
    some = list(dict.fromkeys(_first(words, 8 * _WORD_TRIES)))[:_WORD_TRIES]
    bare = _size(tokenizer, "a", ["a"])
    return [word for word in some if _size(tokenizer, "a", ["a", word]) == bare + 1]


def _size(tokenizer: TextTokenizer, query: str, passage: Sequence[str]) -> int:
    """Tokens of the pair, special ones included; of one that is cut, more than any model's length."""
    encoded = tokenizer.encode([(query, " ".join(passage))])
    return 1 << 30 if encoded.truncated[0] else int(encoded.lengths[0])


def _first(words: Iterator[str], count: int) -> Iterator[str]:
    return (word for _, word in zip(range(count), words, strict=False))
