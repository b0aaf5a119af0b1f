"""ModelSpec: an entry, its lock and its checkpoint, resolved once by `fetch`. Later stages read it alone."""

from pathlib import Path
from typing import Any, cast, get_args

import msgspec
from msgspec import Struct

from artificer.manifest import Activation, ClassifierHead, Source, TaskName, TokenizerInfo, canonical_json
from stages.core import paths
from stages.core.errors import RegistryError, UsageError
from stages.registry import checkpoint
from stages.registry.model_list import Lock, ModelEntry, load_entry
from stages.tasks import BUILDING_TASKS


class ModelSpec(Struct, frozen=True, kw_only=True):
    """What is to be built. `variants` are ids in table order; `recipes` are the entry's overrides by variant id.

    `declared_activation` and `declared_max_length` are what sentence-transformers would use, going by the files alone.
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
    tokenizer: TokenizerInfo
    parameters: int
    weight_dtype: str
    variants: tuple[str, ...]
    recipes: dict[str, dict[str, Any]]

    @property
    def head(self) -> ClassifierHead:
        """What the graph's logits mean."""
        return ClassifierHead(labels=self.labels, activation=self.activation)


def resolve(slug: str, entry: ModelEntry, lock: Lock, folder: Path) -> ModelSpec:
    """The spec of a pinned checkpoint that lies in `folder`. Raises SourceError or RegistryError."""
    found = checkpoint.inspect(folder, entry.source.location)
    check_task(slug, entry, found)
    check_max_length(slug, entry, found)
    declared = cast("Activation", found.activation) if found.activation in get_args(Activation) else None
    return ModelSpec(
        slug=slug,
        task=entry.task,
        source=Source(
            kind="hub" if entry.source.repo else "local",
            location=entry.source.location,
            revision=lock.identity,
            license=entry.license,
            files=lock.files,
        ),
        architecture=found.architecture,
        model_type=found.model_type,
        labels=found.labels,
        activation=checkpoint.resolve_activation(
            found.activation,
            entry.activation,
            len(found.labels),
            f"{paths.REGISTRY}: models.{slug}.activation",
            found.problem_activation,
        ),
        declared_activation=declared or ("sigmoid" if len(found.labels) == 1 else "identity"),
        max_length=entry.max_length or found.max_length,
        declared_max_length=found.max_length,
        tokenizer=found.tokenizer,
        parameters=found.parameters,
        weight_dtype=found.weight_dtype,
        variants=entry.selected_variants(),
        recipes=entry.variants.recipes,
    )


def check_task(slug: str, entry: ModelEntry, found: checkpoint.Checkpoint) -> None:
    """Raise RegistryError when the entry's task contradicts the checkpoint."""
    if reason := BUILDING_TASKS[entry.task].contradiction(found.labels):
        raise RegistryError(f"{paths.REGISTRY}: models.{slug}.task: {reason}.")


def check_max_length(slug: str, entry: ModelEntry, found: checkpoint.Checkpoint) -> None:
    """Raise RegistryError when the entry allows more tokens than the checkpoint has positions for."""
    if entry.max_length and entry.max_length > found.max_length:
        raise RegistryError(
            f"{paths.REGISTRY}: models.{slug}.max_length: {entry.max_length} tokens, "
            f"the checkpoint takes {found.max_length}."
        )


def write_spec(spec: ModelSpec) -> None:
    """Write it where every stage looks."""
    paths.spec(spec.slug).write_bytes(canonical_json(spec))


def load_spec(slug: str) -> ModelSpec:
    """What `fetch` wrote. Raises UsageError when it has not run, RegistryError when there is no such model."""
    try:
        return msgspec.json.decode(paths.spec(slug).read_bytes(), type=ModelSpec)
    except FileNotFoundError:
        load_entry(slug)  # which says so if there is no such model
        raise UsageError(f"{paths.spec(slug)} is missing: run `dvc repro fetch@{slug}` first.") from None
