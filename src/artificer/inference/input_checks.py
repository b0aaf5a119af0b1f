"""What callers hand in, checked and brought into one form. The rules are those of CrossEncoder.predict."""

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np

from artificer.errors import InputError
from artificer.inference.tokenization import Pair

EncodingErrors = Literal["strict", "replace"]
"""What becomes of a lone surrogate, which UTF-8 cannot carry: refused, or U+FFFD in its place."""


def is_single_pair(inputs: Any) -> bool:
    """Whether `inputs` is one pair rather than a list of pairs, by CrossEncoder's rule: its first item is not a list.

    Raises:
        InputError: it is neither.
    """
    if isinstance(inputs, np.ndarray):
        if inputs.size and inputs.dtype.kind not in ("U", "O"):
            raise InputError(f"Expected pairs of strings, found an array of {inputs.dtype}.")
        return bool(inputs.size) and inputs.ndim < 2
    if isinstance(inputs, str | bytes) or not isinstance(inputs, Sequence):
        raise InputError(
            f"Expected one pair (query, passage) or a list of them, found {type(inputs).__name__}."
            " A generator can be passed as list(...)."
        )
    return len(inputs) > 0 and not isinstance(inputs[0], list | tuple | np.ndarray)


def check_pairs(inputs: Any, errors: EncodingErrors = "strict") -> tuple[list[Pair], bool]:
    """The pairs as a list of two-tuples of encodable strings, and whether a single pair was passed.

    Raises:
        InputError: naming the position and what stands there.
    """
    single = is_single_pair(inputs)
    rows = [inputs] if single else inputs
    pairs: list[Pair] = []
    for i, row in enumerate(rows):
        if isinstance(row, str) or not isinstance(row, Sequence | np.ndarray) or len(row) != 2:
            raise InputError(f"Pair {i}: expected two texts (query, passage), found {_shown(row)}.")
        query, passage = row
        pairs.append((check_text(query, f"Pair {i}, query", errors), check_text(passage, f"Pair {i}, passage", errors)))
    return pairs, single


def check_choice(name: str, found: object, choices: Any) -> None:
    """Raise InputError unless `found` is among the words of a Literal or a tuple: a misspelt one would be ignored."""
    known = choices if isinstance(choices, tuple) else get_args(choices)
    if found not in known:
        raise InputError(f"{name}: expected one of {', '.join(map(repr, known))}, found {found!r}.")


def check_text(text: Any, where: str, errors: EncodingErrors = "strict") -> str:
    """`text` itself, if it is a string that UTF-8 can carry; else, with `replace`, a copy that it can.

    Raises:
        InputError: beginning with `where`.
    """
    if not isinstance(text, str):
        raise InputError(f"{where}: expected a string, found {_shown(text)}.")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            if errors == "replace":
                # By way of UTF-16, which joins two surrogates that belong together.
                return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
            raise InputError(
                f"{where}: lone surrogate {text[error.start]!a} at position {error.start}: the text was decoded"
                " wrongly; decode it with errors='replace', or pass errors='replace' to score it with U+FFFD instead."
            ) from None
    return text


def _shown(value: Any) -> str:
    shown = repr(value)
    return f"{type(value).__name__} {shown if len(shown) <= 60 else shown[:57] + '...'}"
