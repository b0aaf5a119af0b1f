"""Whether the tokenizer fits the model: ids and types that have an embedding, padding that the head recognises."""

from tokenizers import Tokenizer

from artificer.manifest import TokenizerInfo
from stages.core.errors import SourceError
from stages.registry.checkpoint.json_objects import Config
from stages.registry.checkpoint.known_types import tokenizer_class_of

# Classes of transformers 5 that return token type ids unless `model_input_names` says otherwise.
WITH_TYPES = (
    *("Bert", "Canine", "Deberta", "DebertaV2", "DPRQuestionEncoder", "FNet", "LayoutLMv2", "Lxmert", "MarkupLM"),
    *("MobileBert", "Tapas"),
)


def check_fit(
    config: Config, tokenizer_config: Config, tokenizer: Tokenizer, info: TokenizerInfo, *, decoder: bool
) -> None:
    """Raise SourceError when the model and its tokenizer contradict each other."""
    _check_ids(config, tokenizer, info)
    _check_types(config, tokenizer_config, tokenizer, info)
    if decoder:
        _check_padding(config, info)


def _check_ids(config: Config, tokenizer: Tokenizer, info: TokenizerInfo) -> None:
    size = config.whole_number("vocab_size")
    vocabulary = tokenizer.get_vocab(with_added_tokens=True)
    if size is None or not vocabulary:
        return
    vocabulary[info.pad_token] = info.pad_token_id
    token = max(vocabulary, key=lambda each: vocabulary[each])
    if vocabulary[token] >= size:
        raise SourceError(
            f"{config.path}: vocab_size: the model has embeddings for {size} tokens, and the tokenizer gives "
            f"{token!r} the id {vocabulary[token]}. Take the tokenizer of this model, or enlarge the model with "
            "`model.resize_token_embeddings(len(tokenizer))` and train it."
        )


def _check_types(config: Config, tokenizer_config: Config, tokenizer: Tokenizer, info: TokenizerInfo) -> None:
    count = config.whole_number("type_vocab_size")
    if not count or not _returns_types(config, tokenizer_config):
        return  # a model without segment embeddings ignores the types
    found = max([info.pad_token_type_id, *tokenizer.encode("a", "b").type_ids])
    if found >= count:
        raise SourceError(
            f"{config.path}: type_vocab_size: the model has embeddings for {count} token type(s), and the tokenizer "
            f"gives the type {found}. If the model was trained without types, set "
            '`"model_input_names": ["input_ids", "attention_mask"]` in tokenizer_config.json.'
        )


def _returns_types(config: Config, tokenizer_config: Config) -> bool:
    names = tokenizer_config.get("model_input_names")
    if names is not None:
        if not isinstance(names, list):
            raise tokenizer_config.unexpected("model_input_names", "a list of names", names)
        return "token_type_ids" in names
    # transformers takes the class of the model's type; a generic one, without types, where another is named.
    return tokenizer_class_of(config, tokenizer_config) in WITH_TYPES


def _check_padding(config: Config, info: TokenizerInfo) -> None:
    found = config.whole_number("pad_token_id")
    if found != info.pad_token_id:
        raise SourceError(
            f"{config.path}: pad_token_id: expected {info.pad_token_id}, the id of the tokenizer's {info.pad_token!r}, "
            f"found {'none' if found is None else found}: the head of a decoder reads the last token that is not "
            f"padding. Set `model.config.pad_token_id = {info.pad_token_id}` and save the model."
        )
