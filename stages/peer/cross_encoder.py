"""sentence-transformers' CrossEncoder on a pinned checkpoint: what a user of the checkpoint gets, and so the truth."""

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.core.batch_rows import rows_at_once
from stages.core.errors import SourceError, first_line
from stages.records.model_spec import ModelSpec

Pair = tuple[str, str]
Pairs = Sequence[Pair]
CHARACTERS_AT_ONCE = 8192
"""Of a batch: about 2,000 tokens. In larger ones of long texts torch's attention leaves the CPU's caches, and takes
longer and a gigabyte more."""
Tokens = tuple[list[int], list[int] | None]
"""Token ids, and token type ids where the model takes any."""


def open_cross_encoder(spec: ModelSpec, folder: Path) -> Any:
    """The model on the CPU in float32 with eager attention, with its own prompts, length and truncation.

    An entry's `max_length` is given to it as a user would.

    Raises:
        SourceError: sentence-transformers cannot load the checkpoint.
    """
    import torch
    from sentence_transformers import CrossEncoder

    shorter = {"max_length": spec.max_length} if spec.max_length != spec.declared_max_length else {}
    try:
        return CrossEncoder(
            str(folder),
            device="cpu",
            local_files_only=True,
            trust_remote_code=False,
            model_kwargs={"dtype": torch.float32, "attn_implementation": "eager", "use_safetensors": True},
            **shorter,
        )
    except (AttributeError, ImportError, KeyError, OSError, RuntimeError, TypeError, ValueError) as error:
        raise SourceError(
            f"{spec.source.location}: sentence-transformers cannot load the checkpoint: {first_line(error)}"
        ) from None


def logits_of(model: Any, pairs: Pairs, batch_size: int) -> NDArray[np.float32]:
    """What `CrossEncoder.predict` computes before the activation, `[pairs, labels]`, in input order.

    Batches are of similar length and shrink for long texts, as for every other candidate.

    Raises:
        SourceError: the model cannot compute what its tokenizer returns.
    """
    import torch

    rows: list[Any] = [None] * len(pairs)
    order = sorted(range(len(pairs)), key=lambda i: -len(pairs[i][0]) - len(pairs[i][1]))
    for batch in _batches(model, pairs, order, batch_size):
        given = [pairs[i] for i in batch]
        try:
            found = model.predict(
                given, batch_size=len(batch), activation_fn=torch.nn.Identity(), show_progress_bar=False
            )
        except (IndexError, RuntimeError, TypeError, ValueError) as error:
            raise SourceError(f"torch cannot run the checkpoint: {first_line(error)}") from None
        for place, i in enumerate(batch):
            rows[i] = np.atleast_1d(found[place])
    return np.stack(rows).astype(np.float32)


def takes_types(model: Any) -> bool:
    """Whether the model has an input for token types."""
    return "token_type_ids" in inspect.signature(model.model.forward).parameters


def token_rows(model: Any, pairs: Pairs) -> Iterator[Tokens]:
    """The tokens of each pair as CrossEncoder makes them."""
    prompt = model._resolve_prompt(None, None)  # `predict` has no public way to ask for it
    for pair in pairs:
        yield from _tokens(model, model.preprocess([list(pair)], prompt=prompt))


@contextmanager
def recorded_tokens(model: Any) -> Iterator[dict[Pair, Tokens]]:
    """The tokens of every pair that the model scores while this lasts, so that none is tokenised a second time."""
    seen: dict[Pair, Tokens] = {}
    preprocess = model.preprocess

    def recording(inputs: list[Pair], **options: Any) -> Any:
        features = preprocess(inputs, **options)
        if "attention_mask" in features:
            seen.update(zip(map(_pair, inputs), _tokens(model, features), strict=True))
        else:  # padding cannot be told from text
            for pair in inputs:
                seen[_pair(pair)] = next(_tokens(model, preprocess([pair], **options)))
        return features

    model.preprocess = recording
    try:
        yield seen
    finally:
        del model.preprocess


def _pair(texts: Sequence[str]) -> Pair:
    return texts[0], texts[1]


def _tokens(model: Any, features: Any) -> Iterator[Tokens]:
    """Each row of a batch without its padding. Types that the tokenizer does not return are zeros to the model."""
    ids = features["input_ids"]
    mask = features["attention_mask"].bool() if "attention_mask" in features else ids == ids
    types = features["token_type_ids"] if "token_type_ids" in features else ids * 0
    with_types = takes_types(model)
    for row, kept, row_types in zip(ids, mask, types, strict=True):
        yield row[kept].tolist(), row_types[kept].tolist() if with_types else None


def _batches(model: Any, pairs: Pairs, order: list[int], batch_size: int) -> Iterator[list[int]]:
    start = 0
    while start < len(order):
        longest = sum(map(len, pairs[order[start]]))  # characters: at least as many as tokens, but for rare texts
        length = min(longest + 8, int(model.max_seq_length or longest + 8))
        count = min(rows_at_once(length, batch_size), max(1, CHARACTERS_AT_ONCE // max(longest, 1)))
        yield order[start : start + count]
        start += count
