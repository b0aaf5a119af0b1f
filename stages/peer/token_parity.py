"""Our token ids and token type ids against sentence-transformers', pair by pair."""

from typing import Any

from stages.core.errors import SourceError
from stages.peer.cross_encoder import Pairs, token_rows
from stages.records.model_spec import ModelSpec
from stages.records.open_tokenizer import open_tokenizer

_SHOWN = 60  # characters of a text, and tokens around the first difference


def check_tokens(spec: ModelSpec, model: Any, pairs: Pairs) -> None:
    """Compare every pair.

    Raises:
        SourceError: a pair becomes other tokens here than in CrossEncoder, so that its score would be another one.
    """
    tokenizer = open_tokenizer(spec, ("input_ids", "attention_mask", "token_type_ids"))
    for pair, (ids, types) in zip(pairs, token_rows(model, pairs), strict=True):
        ours = tokenizer.encode([pair])
        for name, found, expected in (
            ("token ids", ours.ids[0].tolist(), ids),
            ("token type ids", ours.type_ids[0].tolist(), types),
        ):
            if expected is not None and found != expected:
                raise SourceError(_message(spec, pair, name, found, expected))


def _message(spec: ModelSpec, pair: tuple[str, str], name: str, found: list[int], expected: list[int]) -> str:
    first = next((i for i, (a, b) in enumerate(zip(found, expected, strict=False)) if a != b), len(expected))
    shown = ", ".join(ascii(text if len(text) <= _SHOWN else text[:_SHOWN] + "…") for text in pair)
    return (
        f"{spec.source.location}: the pair ({shown}) has other {name} in tokenizer.json than in sentence-transformers, "
        f"from token {first} on: {found[first : first + 5]} instead of {expected[first : first + 5]} "
        f"({len(found)} tokens instead of {len(expected)}). The scores would differ. Save the tokenizer again: "
        "`AutoTokenizer.from_pretrained(folder).save_pretrained(folder)`, then pin the checkpoint again."
    )
