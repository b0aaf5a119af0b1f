"""`check`: registry, locks, local sources and params.yaml, with everything that is wrong in one message."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from artificer.tasks.task import TASKS
from stages import pipeline
from stages.core import paths
from stages.core.errors import BuildError, RegistryError, SourceError
from stages.core.params import BuildParams, load_params
from stages.core.variants import VARIANT_IDS, row
from stages.registry import checkpoint, model_list
from stages.registry.model_list import ModelEntry
from stages.registry.pin_state import pin_state
from stages.registry.spec_resolution import check_max_length, check_task, check_task_name
from stages.tasks import pairs_problem
from stages.texts.set_use import borrowed_warning, set_uses
from stages.texts.sets import check_sets


@dataclass(slots=True)
class _Problems:
    """What was found wrong so far."""

    found: list[str] = field(default_factory=list)

    def collect(self, action: Callable[[], None]) -> None:
        """Run one check; the others still run when it fails."""
        try:
            action()
        except BuildError as error:
            self.found.append(str(error))


def check() -> None:
    """Raise RegistryError with everything that is wrong."""
    problems = _Problems()
    params: BuildParams | None = None
    try:
        params = load_params()
    except BuildError as error:
        problems.found.append(str(error))
    written = model_list.raw_entries()
    entries: dict[str, ModelEntry] = {}
    owners: dict[str, str] = {}
    for slug, raw in written.items():
        problems.collect(partial(_parse, slug, raw, entries))
        if slug in entries:
            problems.collect(partial(_check_model, slug, entries[slug], params, owners, problems))
    if not written:
        problems.found.append(
            f"{paths.REGISTRY}: models: nothing to build. Run `python -m stages add <repo-or-folder>`."
        )
    if problems.found:
        raise RegistryError("\n".join(problems.found))
    print(f"{paths.REGISTRY}, its locks and {paths.PARAMS} are valid")
    assert params is not None  # or there was a problem
    for slug, entry in entries.items():
        _say_data(slug, entry, params)


def _say_data(slug: str, entry: ModelEntry, params: BuildParams) -> None:
    """On what a model is judged and calibrated, and whether that says something about it."""
    evaluation, calibration = set_uses(slug, entry, params)
    print(f"{slug}: judged on {evaluation}, calibrated on {calibration}")
    if warning := borrowed_warning(slug, evaluation, calibration):
        print(warning)


def _parse(slug: str, raw: Any, entries: dict[str, ModelEntry]) -> None:
    entries[slug] = model_list.check_entry(slug, raw, paths.REGISTRY)


def _check_model(
    slug: str, entry: ModelEntry, params: BuildParams | None, owners: dict[str, str], problems: _Problems
) -> None:
    check_task_name(slug, entry)
    if problem := pairs_problem(entry.task, TASKS[entry.task].sample_inputs):
        raise RegistryError(f"{paths.REGISTRY}: models.{slug}.task: {problem}.")
    problems.collect(partial(_check_source, slug, entry))
    if params is None:
        return
    problems.collect(partial(check_sets, slug, entry, params))
    for variant_id in VARIANT_IDS:
        table_row = row(variant_id)
        defaults = params.recipes.of_step(table_row.step)
        overrides = {**defaults.get(variant_id, {}), **entry.variants.recipes.get(variant_id, {})}
        if overrides:  # else the toolchain, which knows the fields, need not be imported
            toolchain = import_module(pipeline.stage(table_row.step).toolchains[table_row.backend].recipe)
            problems.collect(partial(toolchain.check_overrides, table_row, overrides))
    owner = owners.setdefault(model_list.publish_repo(slug, entry, params.publish.namespace), slug)
    if owner != slug:
        raise RegistryError(f"{paths.REGISTRY}: models.{slug}.publish.repo: models.{owner} publishes there too.")


def _check_source(slug: str, entry: ModelEntry) -> None:
    lock = model_list.load_lock(slug, entry)
    if entry.source.path is None:
        return
    if (state := pin_state(slug, entry)) != "yes":
        raise SourceError(f"models.{slug}.source: {lock.location} {state}. Run `python -m stages pin {slug}`.")
    found = checkpoint.inspect(Path(entry.source.path), entry.source.path)
    check_task(slug, entry, found)
    check_max_length(slug, entry, found)
