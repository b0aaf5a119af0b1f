"""Texts and pairs of texts to token arrays, exactly as transformers' fast tokenizers make them."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray
from tokenizers import Tokenizer

from artificer.errors import InputError, ManifestError
from artificer.manifest import INPUT_NAMES, TokenizerInfo

Pair = tuple[str, str]
Text = str | Pair
"""What is tokenized as one input: a text, or a pair of them."""


class Encoded(Struct, frozen=True):
    """Tokenized texts, unpadded. `ids[i]` and `type_ids[i]` are `[lengths[i]]`; `truncated[i]`: tokens were cut off."""

    ids: tuple[NDArray[np.int64], ...]
    type_ids: tuple[NDArray[np.int64], ...]
    lengths: NDArray[np.int64]
    truncated: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.ids)

    def at(self, positions: NDArray[np.int64]) -> "Encoded":
        """Those at some positions, in that order."""
        return Encoded(
            ids=tuple(self.ids[i] for i in positions),
            type_ids=tuple(self.type_ids[i] for i in positions) if self.type_ids else (),
            lengths=self.lengths[positions],
            truncated=self.truncated[positions],
        )


class TextTokenizer:
    """Tokenizes texts and pairs of texts. Safe to share between threads, since the truncation and padding of the
    `tokenizers.Tokenizer` are set once, in the constructor. Padding is done on arrays, for each batch."""

    def __init__(self, tokenizer: Tokenizer, info: TokenizerInfo, *, max_length: int, inputs: tuple[str, ...]):
        if unknown := [name for name in inputs if name not in INPUT_NAMES]:
            raise ManifestError(f"inputs: {unknown} cannot be made from texts; known are {list(INPUT_NAMES)}.")
        tokenizer.no_padding()
        tokenizer.enable_truncation(max_length, strategy="longest_first", direction=info.truncation_side)
        self._tokenizer = tokenizer
        self.info = info
        self.max_length = max_length
        self.inputs = inputs

    @classmethod
    def from_file(
        cls, tokenizer_json: Path, info: TokenizerInfo, *, max_length: int, inputs: tuple[str, ...]
    ) -> "TextTokenizer":
        """A tokenizer from its file, whose own truncation and padding are overridden.

        Raises:
            ManifestError: the file is not a tokenizer, or a graph's input cannot be made from texts.
        """
        try:
            tokenizer: Tokenizer = Tokenizer.from_file(str(tokenizer_json))
        except Exception as error:  # tokenizers raises bare Exception
            raise ManifestError(f"{tokenizer_json.name}: not a tokenizer: {error}") from None
        return cls(tokenizer, info, max_length=max_length, inputs=inputs)

    def encode(self, texts: Iterable[Text], prompt: str | None = None) -> Encoded:
        """Tokenize texts or pairs; those above `max_length` lose tokens from the longer text first.

        `prompt` is put before the first text of each; None for the model's default prompt.

        Raises:
            InputError: a text cannot be encoded as UTF-8 (a lone surrogate), or is not a string.
        """
        prefix = self.info.prompt if prompt is None else prompt
        try:
            prompted = [_with_prompt(prefix, text) for text in texts] if prefix else list(texts)
            encodings = self._tokenizer.encode_batch_fast(prompted)
        except (TypeError, UnicodeError) as error:
            raise InputError(f"A text cannot be tokenized: {error}") from None
        with_types = "token_type_ids" in self.inputs
        ids = tuple(np.array(encoding.ids, dtype=np.int64) for encoding in encodings)
        return Encoded(
            ids=ids,
            type_ids=tuple(np.array(e.type_ids, dtype=np.int64) for e in encodings) if with_types else (),
            lengths=np.array([len(row) for row in ids], dtype=np.int64),
            truncated=np.array(
                [len(row) >= self.max_length and bool(e.overflowing) for row, e in zip(ids, encodings, strict=True)],
                dtype=np.bool_,
            ),
        )

    def batch(
        self,
        encoded: Encoded,
        indices: Sequence[int] | NDArray[np.int64],
        pad_to: int | None = None,
        rows: int | None = None,
    ) -> dict[str, NDArray[np.int64]]:
        """The named inputs of the texts at `indices`, each `[rows, width]`.

        The width is the longest of these texts, or `pad_to` if that is more. `rows` is the number of texts if None; of
        more rows, those behind the texts repeat the last one, since a row without tokens would give NaN.
        """
        width = max([pad_to or 0, *(len(encoded.ids[i]) for i in indices)])
        left = self.info.padding_side == "left"
        shape = (len(indices) if rows is None else rows, width)
        fill = {"input_ids": self.info.pad_token_id, "attention_mask": 0, "token_type_ids": self.info.pad_token_type_id}
        arrays = {name: np.full(shape, fill[name], dtype=np.int64) for name in self.inputs}
        for row, i in enumerate(indices):
            size = len(encoded.ids[i])
            place = slice(width - size, width) if left else slice(0, size)
            for name, array in arrays.items():
                if name == "input_ids":
                    array[row, place] = encoded.ids[i]
                elif name == "attention_mask":
                    array[row, place] = 1
                else:
                    array[row, place] = encoded.type_ids[i]
        for array in arrays.values():
            array[len(indices) :] = array[len(indices) - 1]
        return arrays


def _with_prompt(prompt: str, text: Text) -> Text:
    return prompt + text if isinstance(text, str) else (prompt + text[0], text[1])
