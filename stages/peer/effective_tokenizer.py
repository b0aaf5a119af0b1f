"""The tokenizer that transformers makes of a checkpoint's files, as a tokenizer.json.

transformers changes what it reads: tokenizer_config.json overrides the normaliser, tokens are added, some classes build
their tokenizer again, and a folder without tokenizer.json has its vocabulary converted.
"""

import json
import logging
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from artificer.manifest import TokenizerInfo
from stages.core.errors import SourceError, first_line

FILE = "tokenizer.json"
# Where a tokenizer.json says how it cuts and pads, which `TokenizerInfo` and the runtime say instead.
_STATE = ("padding", "truncation")
_TYPES_OF_ZERO = {
    "type": "TemplateProcessing",
    "single": [{"Sequence": {"id": "A", "type_id": 0}}],
    "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
    "special_tokens": {},
}


def tokenizer_info(tokenizer: Any, prompt: str, where: str, *, padded: bool = True) -> TokenizerInfo:
    """How transformers' tokenizer pads and cuts; `padded`: whether the model may be given padding at all. Raises
    SourceError where it has nothing to pad with."""
    token, number = tokenizer.pad_token, tokenizer.pad_token_id
    if token is None or number is None:
        raise SourceError(
            f"{where}: the tokenizer has no padding token. Set one that the model was trained with "
            "(`tokenizer.pad_token = tokenizer.eos_token` is usual for decoders), and save the tokenizer."
        )
    return TokenizerInfo(
        file=FILE,
        pad_token=str(token),
        pad_token_id=int(number),
        pad_token_type_id=int(tokenizer.pad_token_type_id),
        padding_side=tokenizer.padding_side,
        truncation_side=tokenizer.truncation_side,
        prompt=prompt,
        padded=padded,
    )


def tokenizer_json(tokenizer: Any, where: str, *, without_types: bool = False) -> bytes:
    """transformers' tokenizer as a tokenizer.json, without padding and truncation; equal bytes for equal tokenizers.

    `without_types`: every token has type 0, which is what a model takes where transformers' tokenizer returns no types.

    Raises:
        SourceError: it is written in Python, so that there is nothing to write down.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if not isinstance(backend, Tokenizer):
        raise SourceError(
            f"{where}: transformers has no fast tokenizer for it ({type(tokenizer).__name__}), so that no "
            f"{FILE} can be made. Use a checkpoint with a fast tokenizer."
        )
    content = json.loads(backend.to_str())
    for key in _STATE:
        content[key] = None
    if without_types:
        content["post_processor"] = _without_types(content.get("post_processor"))
    return (json.dumps(content, ensure_ascii=False, indent=2) + "\n").encode()


def converted(folder: Path, where: str) -> tuple[Tokenizer, TokenizerInfo] | None:
    """What transformers makes of a vocabulary; None where there is a tokenizer.json.

    Raises:
        SourceError: transformers cannot convert it.
    """
    if (folder / FILE).exists():
        return None
    from transformers import AutoTokenizer

    logging.getLogger("transformers").setLevel(logging.ERROR)  # the error says why, once
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:  # its configuration reaches every part of the library
        raise SourceError(
            f"{where}: {FILE} is missing, and transformers cannot convert the vocabulary: {first_line(error)}"
        ) from None
    check_vocabulary(tokenizer, folder, where)
    info = tokenizer_info(tokenizer, "", where)
    return Tokenizer.from_buffer(tokenizer_json(tokenizer, where)), info


def check_vocabulary(tokenizer: Any, folder: Path, where: str) -> None:
    """Raise SourceError where the class of the tokenizer converts other files than there are: it would know no word."""
    read = [name for key, name in tokenizer.vocab_files_names.items() if key != "tokenizer_file"]
    if missing := [name for name in read if not (folder / name).exists()]:
        raise SourceError(
            f"{where}: {FILE} is missing, and so is {', '.join(missing)}, which transformers' "
            f"{type(tokenizer).__name__} converts."
        )


def same_parts(one: bytes, other: bytes) -> bool:
    """Whether two files describe one tokenizer, apart from padding and truncation."""
    parts = [json.loads(text) for text in (one, other)]
    return bool({**parts[0], **dict.fromkeys(_STATE)} == {**parts[1], **dict.fromkeys(_STATE)})


def _without_types(processor: dict[str, Any] | None) -> dict[str, Any]:
    """A post-processor that gives every token the type 0."""
    if processor is None:
        return _TYPES_OF_ZERO
    kind = processor["type"]
    if kind == "Sequence":
        return {**processor, "processors": [_without_types(each) for each in processor["processors"]]}
    if kind == "BertProcessing":
        return _as_template(processor)
    if kind == "TemplateProcessing":
        pieces = {key: [_of_type_zero(piece) for piece in processor[key]] for key in ("single", "pair")}
        return {**processor, **pieces}
    return processor  # RobertaProcessing's types are zeros, ByteLevel sets none


def _of_type_zero(piece: dict[str, Any]) -> dict[str, Any]:
    return {name: {**value, "type_id": 0} for name, value in piece.items()}


def _as_template(processor: dict[str, Any]) -> dict[str, Any]:
    """BertProcessing, `[CLS] A [SEP] B [SEP]`, as a template."""
    tokens = {name: processor[name] for name in ("cls", "sep")}
    first, end = ({"SpecialToken": {"id": tokens[name][0], "type_id": 0}} for name in ("cls", "sep"))
    one, two = ({"Sequence": {"id": name, "type_id": 0}} for name in "AB")
    special = {text: {"id": text, "ids": [number], "tokens": [text]} for text, number in tokens.values()}
    return {
        "type": "TemplateProcessing",
        "single": [first, one, end],
        "pair": [first, one, end, two, end],
        "special_tokens": special,
    }
