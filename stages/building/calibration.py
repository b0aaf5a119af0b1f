"""Query-passage pairs, tokenised, from which static int8 learns the ranges of activations."""

import numpy as np
from numpy.typing import NDArray

from artificer.inference.tokenization import Encoded, TextTokenizer
from stages.core import paths
from stages.core.params import load_params
from stages.records.model_spec import load_spec
from stages.records.open_tokenizer import open_tokenizer
from stages.records.pairs import read_pairs

Rows = list[dict[str, NDArray[np.int64]]]
"""Tokenised pairs, each a batch of its own: token ids and the like by input name, each `[1, length]`."""


def calibration_rows(slug: str, inputs: tuple[str, ...], *, length_step: int = 1) -> Rows:
    """The calibration pairs, tokenised as the runtime does, each padded to a multiple of `length_step` tokens."""
    encoded, tokenizer = _encoded(slug, inputs)
    return [
        _row(tokenizer, encoded, i, -(-length // length_step) * length_step, inputs)
        for i, length in enumerate(encoded.lengths.tolist())
    ]


def rows_of_one_length(slug: str, inputs: tuple[str, ...]) -> Rows:
    """The same without padding: the longer half of the pairs, each cut to the length of the shortest of them."""
    encoded, _ = _encoded(slug, inputs)
    length = sorted(encoded.lengths.tolist())[len(encoded.lengths) // 2]
    encoded, tokenizer = _encoded(slug, inputs, length)
    return [
        _row(tokenizer, encoded, i, length, inputs)
        for i, found in enumerate(encoded.lengths.tolist())
        if found == length
    ]


def _encoded(slug: str, inputs: tuple[str, ...], max_length: int | None = None) -> tuple[Encoded, TextTokenizer]:
    params = load_params().calibration
    tokenizer = open_tokenizer(load_spec(slug), inputs, max_length or params.max_length)
    return tokenizer.encode(read_pairs(paths.calibration(slug)).texts(params.rows)), tokenizer


def _row(
    tokenizer: TextTokenizer, encoded: Encoded, i: int, length: int, inputs: tuple[str, ...]
) -> dict[str, NDArray[np.int64]]:
    batch = tokenizer.batch(encoded, [i], pad_to=length)
    return {name: batch[name] for name in inputs}
