"""Query-passage pairs, tokenised, from which static int8 learns the ranges of activations."""

from stages.building import torch_model
from stages.core import paths
from stages.core.params import load_params
from stages.records.model_spec import load_spec
from stages.records.pairs import read_pairs
from stages.toolchain.openvino.static_int8 import Rows

LENGTH_STEP = 16


def calibration_rows(slug: str, inputs: tuple[str, ...]) -> Rows:
    """Tokenised pairs, each padded to a multiple of 16 tokens.

    The runtime pads little as well, and OpenVINO compiles again for every new length.
    """
    params = load_params().quantize_openvino
    spec = load_spec(slug)
    tokenizer = torch_model.load_tokenizer(paths.source(slug))
    rows = [
        tokenizer(
            query,
            passage,
            truncation="longest_first",
            max_length=min(params.max_length, spec.max_length),
            padding=True,
            pad_to_multiple_of=LENGTH_STEP,
            return_token_type_ids="token_type_ids" in inputs,
        )
        for query, passage in read_pairs(paths.calibration(slug)).texts(params.calibration_rows)
    ]
    return [{name: row[name] for name in inputs} for row in rows]
