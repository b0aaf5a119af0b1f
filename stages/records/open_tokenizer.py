"""The runtime's own tokenizer on the files that are published of a model."""

from artificer.inference.tokenization import TextTokenizer
from stages.core import paths
from stages.records.model_spec import ModelSpec
from stages.records.published_files import load_published


def open_tokenizer(spec: ModelSpec, inputs: tuple[str, ...], at_most: int | None = None) -> TextTokenizer:
    """A tokenizer that makes the named inputs, as a service would open it. It cuts at `at_most` tokens, if given."""
    length = spec.max_length if at_most is None else min(at_most, spec.max_length)
    info = load_published(spec.slug).tokenizer
    path = paths.published_files(spec.slug) / info.file
    return TextTokenizer.from_file(path, info, max_length=length, inputs=inputs)
