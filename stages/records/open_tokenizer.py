"""The runtime's own tokenizer on a model's pinned files."""

from artificer.inference.tokenization import TextTokenizer
from stages.core import paths
from stages.records.model_spec import ModelSpec


def open_tokenizer(spec: ModelSpec, inputs: tuple[str, ...]) -> TextTokenizer:
    """A tokenizer that makes the named inputs, as a service would open it."""
    path = paths.source(spec.slug) / spec.tokenizer.file
    return TextTokenizer.from_file(path, spec.tokenizer, max_length=spec.max_length, inputs=inputs)
