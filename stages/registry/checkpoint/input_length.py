"""How many tokens a checkpoint takes: positions of the model, and the limit that its library keeps."""

import math
from pathlib import Path

from stages.registry.checkpoint.json_objects import Config
from stages.registry.checkpoint.module_list import MODULES

SENTENCE_TRANSFORMERS_FILE = "sentence_bert_config.json"
NO_LIMIT = 2**31 - 1
_UNKNOWN_POSITIONS = 512
# Position ids of RoBERTa-style models start behind the padding id, so two entries of the table are not positions.
_OFFSET_POSITIONS = (
    "roberta",
    "xlm-roberta",
    "xlm-roberta-xl",
    "camembert",
    "roberta-prelayernorm",
    "mpnet",
    "longformer",
)
# Types that attend to a few blocks of a text where it is long, and to all of it otherwise. The first text that is not
# long turns their model to full attention for good, so that scores of long ones depend on what came before.
_SPARSE_WHEN_LONG = ("big_bird", "bigbird_pegasus")


def max_length(folder: Path, config: Config, tokenizer_config: Config) -> int:
    """The smaller of the model's positions and the declared limit. Raises SourceError when one is not a number."""
    # GPT-2's and MPT's own names stand behind the common one.
    positions = config.whole_number("max_position_embeddings", "n_positions", "max_seq_len") or _UNKNOWN_POSITIONS
    if config.get("model_type") in _OFFSET_POSITIONS:
        padding = 1 if config.get("model_type") == "mpnet" else config.whole_number("pad_token_id")
        positions -= (1 if padding is None else padding) + 1
    if config.get("model_type") in _SPARSE_WHEN_LONG:
        positions = min(positions, _full_attention(config))
    if positions < 1:
        raise config.unexpected("max_position_embeddings", "room for a token", config.get("max_position_embeddings"))
    return int(min(_declared(folder, tokenizer_config), positions))


def peer_length(folder: Path, config: Config, tokenizer_config: Config) -> int:
    """The limit that sentence-transformers keeps, which may be more than the model has positions for."""
    limit = _declared(folder, tokenizer_config)
    positions = config.get("max_position_embeddings")
    if _own_limit(folder) is None and isinstance(positions, int) and positions > 0:
        limit = min(limit, positions)
    return int(min(limit, NO_LIMIT))


def _full_attention(config: Config) -> int:
    """Up to how many tokens such a model attends to all of a text: what transformers computes, with its defaults."""
    if config.choice("attention_type", ("block_sparse", "original_full"), "block_sparse") == "original_full":
        return NO_LIMIT
    blocks, size = config.whole_number("num_random_blocks"), config.whole_number("block_size")
    return (5 + 2 * (3 if blocks is None else blocks)) * (64 if size is None else size)


def _own_limit(folder: Path) -> int | None:
    """sentence-transformers' own setting; its file is read only where there are modules."""
    settings = Config.read_optional(folder / SENTENCE_TRANSFORMERS_FILE)
    return (settings.whole_number("max_seq_length") or None) if (folder / MODULES).exists() else None


def _declared(folder: Path, tokenizer_config: Config) -> float:
    """sentence-transformers' limit replaces the tokenizer's."""
    if (own := _own_limit(folder)) is not None:
        return own
    limit = tokenizer_config.get("model_max_length")
    if limit is None or (limit == 0 and limit is not False):
        return math.inf
    # transformers writes 1e30 where a tokenizer knows no limit.
    if isinstance(limit, bool) or not isinstance(limit, int | float) or not limit >= 1:
        raise tokenizer_config.unexpected("model_max_length", "a number of tokens", limit)
    return limit
