"""spec.json: an entry, its lock and its checkpoint, resolved once by `fetch`. Later stages read this alone."""

import msgspec
from msgspec import Struct

from artificer.manifest import Activation, ClassifierHead, Source, TaskName, canonical_json
from stages.core import paths
from stages.core.errors import UsageError


class ModelSpec(Struct, frozen=True, kw_only=True):
    """What is to be built. `variants` are ids in table order.

    `declared_activation` and `declared_max_length` are what sentence-transformers would use, going by the files alone.
    `prompt` is its default prompt. `model_class` is the class of transformers that loads it, `export_task` what the
    exporters call its task.
    """

    slug: str
    task: TaskName
    source: Source
    architecture: str
    model_type: str
    labels: tuple[str, ...]
    activation: Activation
    declared_activation: Activation
    max_length: int
    declared_max_length: int
    prompt: str
    padded: bool
    parameters: int
    weight_dtype: str
    variants: tuple[str, ...]
    model_class: str
    export_task: str

    @property
    def head(self) -> ClassifierHead:
        """What the graph's logits mean."""
        return ClassifierHead(labels=self.labels, activation=self.activation)


def write_spec(spec: ModelSpec) -> None:
    """Write it where every stage looks."""
    paths.spec(spec.slug).write_bytes(canonical_json(spec))


def load_spec(slug: str) -> ModelSpec:
    """What `fetch` wrote. Raises UsageError when it has not run."""
    try:
        return msgspec.json.decode(paths.spec(slug).read_bytes(), type=ModelSpec)
    except FileNotFoundError:
        raise UsageError(f"{paths.spec(slug)} is missing: run `dvc repro fetch@{slug}` first.") from None
