"""Whether the tokenizer fits the model: ids that have an embedding, padding that the head recognises, one meaning of
the two files of the tokenizer."""

import json
from typing import Any

from tokenizers import Tokenizer

from artificer.manifest import TokenizerInfo
from stages.core.errors import SourceError
from stages.registry.checkpoint.json_objects import Config
from stages.registry.checkpoint.known_types import has_generic_class

# Classes of transformers that return token type ids unless `model_input_names` says otherwise.
_WITH_TYPES = (
    *("Albert", "Bert", "ConvBert", "Deberta", "DebertaV2", "Electra", "Funnel", "Herbert", "LayoutLM", "MobileBert"),
    *("RemBert", "RoFormer", "SqueezeBert", "XLNet"),
)
_GENERIC = "PreTrained"
# Classes whose `__init__` replaces these settings of the normaliser by those of tokenizer_config.json.
_WITH_BERT_NORMALIZER = (
    *("Bert", "ConvBert", "DistilBert", "Electra", "Funnel", "LayoutLM", "MobileBert", "RoFormer", "SqueezeBert"),
)
_NORMALIZER_KEYS = {
    "do_lower_case": "lowercase",
    "strip_accents": "strip_accents",
    "tokenize_chinese_chars": "handle_chinese_chars",
}


def check_fit(
    config: Config, tokenizer_config: Config, tokenizer: Tokenizer, info: TokenizerInfo, *, decoder: bool
) -> None:
    """Raise SourceError when the model and its tokenizer, or the two files of the tokenizer, contradict each other."""
    _check_ids(config, tokenizer)
    _check_types(config, tokenizer_config, tokenizer, info)
    if decoder:
        _check_padding(config, info)
    _check_one_meaning(tokenizer_config, tokenizer)


def _check_ids(config: Config, tokenizer: Tokenizer) -> None:
    size = config.whole_number("vocab_size")
    vocabulary = tokenizer.get_vocab(with_added_tokens=True)
    if size is None or not vocabulary:
        return
    token = max(vocabulary, key=lambda each: vocabulary[each])
    if vocabulary[token] >= size:
        raise SourceError(
            f"{config.path}: vocab_size: the model has embeddings for {size} tokens, and tokenizer.json gives "
            f"{token!r} the id {vocabulary[token]}. Take the tokenizer of this model, or enlarge the model with "
            "`model.resize_token_embeddings(len(tokenizer))` and train it."
        )


def _check_types(config: Config, tokenizer_config: Config, tokenizer: Tokenizer, info: TokenizerInfo) -> None:
    count = config.whole_number("type_vocab_size")
    if not count or not _returns_types(tokenizer_config):
        return  # a model without segment embeddings ignores the types
    found = max([info.pad_token_type_id, *tokenizer.encode("a", "b").type_ids])
    if found >= count:
        raise SourceError(
            f"{config.path}: type_vocab_size: the model has embeddings for {count} token type(s), and the tokenizer "
            f"gives the type {found}. If the model was trained without types, set "
            '`"model_input_names": ["input_ids", "attention_mask"]` in tokenizer_config.json.'
        )


def _returns_types(tokenizer_config: Config) -> bool:
    names = tokenizer_config.get("model_input_names")
    if names is not None:
        if not isinstance(names, list):
            raise tokenizer_config.unexpected("model_input_names", "a list of names", names)
        return "token_type_ids" in names
    name = _class(tokenizer_config)
    return name in _WITH_TYPES or (name == _GENERIC and not has_generic_class())


def _check_padding(config: Config, info: TokenizerInfo) -> None:
    found = config.whole_number("pad_token_id")
    if found != info.pad_token_id:
        raise SourceError(
            f"{config.path}: pad_token_id: expected {info.pad_token_id}, the id of the tokenizer's {info.pad_token!r}, "
            f"found {'none' if found is None else found}: the head of a decoder reads the last token that is not "
            f"padding. Set `model.config.pad_token_id = {info.pad_token_id}` and save the model."
        )


def _check_one_meaning(tokenizer_config: Config, tokenizer: Tokenizer) -> None:
    """transformers changes the tokenizer by tokenizer_config.json; other readers of tokenizer.json do not."""
    if _class(tokenizer_config) in _WITH_BERT_NORMALIZER:
        state = _state(tokenizer.normalizer)
        for key, name in _NORMALIZER_KEYS.items():
            _compare(tokenizer_config, key, state, f"the normalizer's {name}", name)
    _compare(
        tokenizer_config,
        "add_prefix_space",
        _state(tokenizer.pre_tokenizer),
        "the pre_tokenizer's add_prefix_space",
        "add_prefix_space",
    )


def _compare(tokenizer_config: Config, key: str, state: dict[str, Any], place: str, name: str) -> None:
    if key not in tokenizer_config.values or name not in state:
        return
    wanted, found = tokenizer_config.get(key), state[name]
    if name == "strip_accents":  # null: as `lowercase`, which was compared before
        wanted, found = (state.get("lowercase") if value is None else value for value in (wanted, found))
    if wanted == found:
        return
    raise SourceError(
        f"{tokenizer_config.path}: {key}: {json.dumps(tokenizer_config.get(key))} contradicts {place} in "
        f"tokenizer.json, {json.dumps(state[name])}. Correct the one that is wrong: "
        "`AutoTokenizer.from_pretrained(folder).save_pretrained(folder)` writes into both what transformers does."
    )


def _state(part: Any) -> dict[str, Any]:
    """The settings of a normaliser or a pre-tokeniser; none where there is none."""
    found = json.loads(part.__getstate__()) if part is not None else {}
    return found if isinstance(found, dict) else {}


def _class(tokenizer_config: Config) -> str:
    return (tokenizer_config.text("tokenizer_class") or "").removesuffix("Fast").removesuffix("Tokenizer")
