"""Model types that are refused whatever the checkpoint holds, each with the reason (docs/architectures.md)."""

from stages.core.errors import SourceError
from stages.registry.checkpoint.json_objects import Config

_IMAGES = "it reads images as well as texts, with a processor that does more than a tokenizer"
_PAGES = "it reads words, their places on a page and its image, with a processor that does more than a tokenizer"
REASONS = {
    "canine": "its tokens are the characters of Unicode, made by Python code that tokenizer.json cannot hold",
    "gemma3": f"{_IMAGES}; for text only, use gemma3_text",
    "layoutlmv2": _PAGES,
    "layoutlmv3": _PAGES,
    "markuplm": "it reads HTML, with a processor that does more than a tokenizer",
    "modernvbert": f"{_IMAGES}; for text only, use modernbert",
    "mra": "transformers computes its attention only with a CUDA kernel, so a CPU has no scores to compare with",
    "reformer": "its attention sorts tokens by random hashes and cuts a text into chunks, which no graph can do for "
    "texts of every length",
    "t5gemma2": f"{_IMAGES}; for text only, use t5gemma",
    "tapas": "it reads tables, not pairs of texts",
}


def refuse_unsupported(config: Config) -> None:
    """Raise SourceError when no checkpoint of the model's type can be built."""
    if (reason := REASONS.get(config.text("model_type") or "")) is not None:
        raise SourceError(f"{config.path}: model_type: {config.text('model_type')} is not supported: {reason}.")
