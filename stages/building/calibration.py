"""Query-passage pairs, tokenised, from which static int8 learns the ranges of activations."""

from stages.core import paths
from stages.core.params import load_params
from stages.records.model_spec import load_spec
from stages.records.open_tokenizer import open_tokenizer
from stages.records.pairs import read_pairs

Rows = list[dict[str, list[int]]]
"""Tokenised pairs: token ids and the like by input name, each `[length]`."""


def calibration_rows(slug: str, inputs: tuple[str, ...], *, length_step: int = 1) -> Rows:
    """The calibration pairs, tokenised as the runtime does, each padded to a multiple of `length_step` tokens."""
    params = load_params().calibration
    tokenizer = open_tokenizer(load_spec(slug), inputs, params.max_length)
    encoded = tokenizer.encode(read_pairs(paths.calibration(slug)).texts(params.rows))
    rows = []
    for i, length in enumerate(encoded.lengths.tolist()):
        batch = tokenizer.batch(encoded, [i], pad_to=-(-length // length_step) * length_step)
        rows.append({name: batch[name][0].tolist() for name in inputs})
    return rows
