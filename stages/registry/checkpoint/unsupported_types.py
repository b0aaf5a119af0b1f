"""Model types that are refused whatever the checkpoint holds, each with the reason (docs/architectures.md)."""

from stages.core.errors import SourceError
from stages.registry.checkpoint.json_objects import Config

_IMAGES = "it reads images beside texts, by a processor that is more than a tokenizer"
_PAGES = "it reads words, their places on a page and its image, by a processor that is more than a tokenizer"
REASONS = {
    "canine": "each character of Unicode is a token of it, by Python code that no tokenizer.json holds",
    "gemma3": f"{_IMAGES}; the type for texts alone is gemma3_text",
    "layoutlmv2": _PAGES,
    "layoutlmv3": _PAGES,
    "markuplm": "it reads HTML, by a processor that is more than a tokenizer",
    "modernvbert": f"{_IMAGES}; the type for texts alone is modernbert",
    "mra": "transformers computes its attention by a CUDA kernel alone: on a CPU there are no scores to compare with",
    "reformer": "its attention sorts tokens by random hashes and cuts a text into chunks, and no graph can do so for "
    "texts of every length",
    "t5gemma2": f"{_IMAGES}; the type for texts alone is t5gemma",
    "tapas": "it reads tables, and a pair of texts is none",
}


def refuse_unsupported(config: Config) -> None:
    """Raise SourceError when no checkpoint of the model's type can be built."""
    if (reason := REASONS.get(config.text("model_type") or "")) is not None:
        raise SourceError(f"{config.path}: model_type: {config.text('model_type')} is not supported: {reason}.")
