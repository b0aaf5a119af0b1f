"""The reference's logits for texts of many token lengths, at which every execution is compared."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from artificer.proving.length_texts import lengths_to_ask, texts_of_lengths
from artificer.proving.measurement import LengthTexts
from stages.core.errors import DataError
from stages.core.params import ParityParams
from stages.records.model_spec import ModelSpec
from stages.records.open_tokenizer import open_tokenizer

Pairs = Sequence[tuple[str, str]]


def length_texts(spec: ModelSpec, params: ParityParams, pairs: Pairs) -> LengthTexts:
    """The texts, without outputs, made of the evaluation pairs' words. Raises DataError when none can be made."""
    tokenizer = open_tokenizer(spec, ("input_ids", "attention_mask"))
    wanted = lengths_to_ask(spec.max_length, up_to=params.probe_length, tokens=params.probe_tokens(spec.parameters))
    found = texts_of_lengths(tokenizer, pairs, wanted)
    if not found:
        raise DataError(f"{spec.slug}: no texts of 1 to {wanted[-1]} tokens can be made of the evaluation pairs.")
    return LengthTexts(texts=tuple(text for text, _ in found), lengths=tuple(length for _, length in found))


def with_outputs(found: LengthTexts, logits: NDArray[np.float32]) -> LengthTexts:
    """The same texts with the reference's logits, `[texts, labels]`."""
    outputs = tuple(tuple(float(value) for value in row) for row in logits)
    return LengthTexts(texts=found.texts, lengths=found.lengths, outputs=outputs)
