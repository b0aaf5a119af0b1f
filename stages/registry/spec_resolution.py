"""From an entry, its lock and its checkpoint to the ModelSpec that every later stage reads."""

from pathlib import Path
from typing import cast, get_args

from artificer.manifest import Activation, Source
from stages.core import paths
from stages.core.errors import RegistryError
from stages.records.model_spec import ModelSpec
from stages.registry import checkpoint
from stages.registry.model_list import Lock, ModelEntry
from stages.tasks import BUILDING_TASKS


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
        declared_max_length=found.peer_max_length,
        prompt=found.prompt,
        padded=found.padded,
        parameters=found.parameters,
        weight_dtype=found.weight_dtype,
        variants=entry.selected_variants(),
        model_class=BUILDING_TASKS[entry.task].model_class,
        export_task=BUILDING_TASKS[entry.task].export_task,
    )


def check_task_name(slug: str, entry: ModelEntry) -> None:
    """Raise RegistryError when there is no such task."""
    if entry.task not in BUILDING_TASKS:
        known = ", ".join(BUILDING_TASKS)
        raise RegistryError(f"{paths.REGISTRY}: models.{slug}.task: found {entry.task!r}; expected one of {known}.")


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
