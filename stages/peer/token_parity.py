"""Our token ids and token type ids against sentence-transformers', pair by pair."""

from collections.abc import Mapping
from pathlib import Path

from artificer.inference.tokenization import TextTokenizer
from artificer.manifest import TokenizerInfo
from stages.core.errors import SourceError
from stages.peer.cross_encoder import Pair, Tokens
from stages.records.model_spec import ModelSpec

_SHOWN = 60  # characters of a text, and tokens around the first difference


def check_tokens(
    spec: ModelSpec, info: TokenizerInfo, file: Path, expected: Mapping[Pair, Tokens], remedy: str
) -> None:
    """Compare every pair with what the runtime makes of it with that file.

    Raises:
        SourceError: a pair becomes other tokens here than in CrossEncoder, so that its score would be another one.
    """
    inputs = ("input_ids", "attention_mask", "token_type_ids")
    tokenizer = TextTokenizer.from_file(file, info, max_length=spec.max_length, inputs=inputs)
    for pair, (ids, types) in expected.items():
        ours = tokenizer.encode([pair])
        for name, found, wanted in (
            ("token ids", ours.ids[0].tolist(), ids),
            ("token type ids", ours.type_ids[0].tolist(), types),
        ):
            if wanted is not None and found != wanted:
                raise SourceError(_message(spec, pair, name, found, wanted) + remedy)


def _message(spec: ModelSpec, pair: Pair, name: str, found: list[int], expected: list[int]) -> str:
    first = next((i for i, (a, b) in enumerate(zip(found, expected, strict=False)) if a != b), len(expected))
    shown = ", ".join(ascii(text if len(text) <= _SHOWN else text[:_SHOWN] + "…") for text in pair)
    return (
        f"{spec.source.location}: the pair ({shown}) has other {name} in tokenizer.json than in sentence-transformers, "
        f"from token {first} on: {found[first : first + 5]} instead of {expected[first : first + 5]} "
        f"({len(found)} tokens instead of {len(expected)}). The scores would differ. "
    )
