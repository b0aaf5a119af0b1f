"""The tokenizer's files, read early so that `add` can refuse what does not fit. What is published is decided by
`reference`, which compares it with sentence-transformers'."""

from pathlib import Path
from typing import Any, Literal, cast

from tokenizers import Tokenizer

from artificer.manifest import TokenizerInfo
from stages.core.errors import SourceError, first_line
from stages.registry.checkpoint.json_objects import Config
from stages.registry.checkpoint.known_types import check_tokenizer_class

_SIDES = ("left", "right")
Side = Literal["left", "right"]
# What a tokenizer's class pads with where no file says it; all others have no token of their own.
_PADDING_OF_CLASS = {
    "[PAD]": (
        "Bert",
        "ConvBert",
        "Deberta",
        "DebertaV2",
        "DistilBert",
        "Electra",
        "MobileBert",
        "RoFormer",
        "SqueezeBert",
    ),
    "<pad>": ("Roberta", "XLMRoberta", "Camembert", "MPNet", "Bart", "MBart", "Longformer", "Albert", "T5", "BigBird"),
}


def read_tokenizer(folder: Path, tokenizer_config: Config) -> tuple[Tokenizer, TokenizerInfo] | None:
    """The tokenizer, and how it pads and truncates; None where there is only a vocabulary, which transformers converts.

    Raises:
        SourceError: it cannot be read, or has nothing to pad with.
    """
    check_tokenizer_class(tokenizer_config)
    path = folder / "tokenizer.json"
    if not path.exists():
        return None
    tokenizer = _open(path)
    pad_token = _pad_token(folder, tokenizer_config)
    pad_token_id = tokenizer.token_to_id(pad_token)
    if pad_token_id is None:  # transformers adds it behind all others
        pad_token_id = tokenizer.get_vocab_size(with_added_tokens=True)
    return tokenizer, TokenizerInfo(
        file=path.name,
        pad_token=pad_token,
        pad_token_id=pad_token_id,
        pad_token_type_id=tokenizer_config.whole_number("pad_token_type_id") or 0,
        padding_side=cast("Side", tokenizer_config.choice("padding_side", _SIDES, "right")),
        truncation_side=cast("Side", tokenizer_config.choice("truncation_side", _SIDES, "right")),
    )


def _open(path: Path) -> Tokenizer:
    """The tokenizer, tried on a pair of texts and checked for what is read of it later."""
    try:
        tokenizer = Tokenizer.from_file(str(path))
        tokenizer.encode("a", "b")
        tokenizer.get_vocab()
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # the Rust library raises a bare Exception, and a panic as a BaseException
        raise SourceError(f"{path}: the tokenizer cannot be read: {first_line(error, with_kind=False)}.") from None
    return tokenizer


def _pad_token(folder: Path, tokenizer_config: Config) -> str:
    """The token of tokenizer_config.json, else of special_tokens_map.json, else of the tokenizer's class."""
    for config in (tokenizer_config, Config.read_optional(folder / "special_tokens_map.json")):
        found: Any = config.get("pad_token")
        token = found.get("content") if isinstance(found, dict) else found
        if isinstance(token, str) and token:
            return token
        if found is not None:
            raise config.unexpected("pad_token", "a token", found)
    name = (tokenizer_config.text("tokenizer_class") or "Bert").removesuffix("Fast").removesuffix("Tokenizer")
    for token, classes in _PADDING_OF_CLASS.items():
        if name in classes:
            return token
    raise SourceError(
        f"{tokenizer_config.path}: pad_token: expected the token to pad with, found none. Set one that the model was "
        "trained with (`tokenizer.pad_token = tokenizer.eos_token` is usual for decoders), and save the tokenizer."
    )
