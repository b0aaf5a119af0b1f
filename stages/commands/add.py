"""`add`: inspect a checkpoint, pin it, and append it to registry/models.yaml."""

import contextlib
import re
import tempfile
from pathlib import Path
from typing import Any, TypedDict, Unpack

import yaml

from artificer.manifest import Activation
from stages.commands import own_data
from stages.commands.source_name import source_of
from stages.core import files, paths
from stages.core.errors import DataError, RegistryError, SourceError
from stages.core.params import load_params
from stages.core.yaml_files import read_yaml
from stages.hub.calls import hub_errors
from stages.peer.effective_tokenizer import converted
from stages.registry import checkpoint, model_list, sources
from stages.registry.model_list import ModelEntry, SourceEntry
from stages.registry.spec_resolution import check_max_length, check_task
from stages.tasks import BUILDING_TASKS, fitting_task
from stages.texts.column_names import parse_columns
from stages.texts.set_use import borrowed_warning, set_uses
from stages.texts.sets import Use


class Options(TypedDict):
    """The options of `add`, as its command line names them."""

    revision: str
    license: str | None
    activation: Activation | None
    evaluation: str | None
    calibration: str | None
    columns: str | None
    variants: str | None
    dry_run: bool


def add(source: str, slug: str | None, **options: Unpack[Options]) -> None:
    """Inspect a checkpoint, pin it, and append it to registry/models.yaml. Writes nothing when anything is wrong, or in
    a dry run."""
    given = parse_columns(options["columns"]) if options["columns"] else {}
    catalog = read_yaml(paths.CATALOG)["models"]
    if source in catalog:
        slug, raw = slug or source, dict(catalog[source])
    else:
        raw = {"source": source_of(source, options["revision"], catalog)}
        slug = slug or slug_of(source)
    if slug in model_list.slugs():
        raise RegistryError(f"{paths.REGISTRY}: models.{slug} exists already. Choose another name with --slug.")
    # Task and license are known once the checkpoint was read.
    unknown = {"task": next(iter(BUILDING_TASKS)), "license": "unknown"}
    draft = model_list.check_entry(slug, {**unknown, **raw}, paths.REGISTRY)
    with tempfile.TemporaryDirectory() as folder:
        lock = sources.pin(draft.source, Path(folder))
        found = checkpoint.inspect(Path(folder), draft.source.location)
        if (made := converted(Path(folder), draft.source.location)) is not None:
            checkpoint.check_tokenizer(Path(folder), *made, name=draft.source.location)
    license = options["license"] or raw.get("license") or _declared_license(draft.source, lock.revision)
    if license is None:
        raise SourceError(
            f"{source} declares no license. Give its SPDX id with --license, for example apache-2.0; or proprietary."
        )
    raw["task"] = raw.get("task") or fitting_task(found.labels)
    raw["license"] = license
    raw["activation"] = checkpoint.resolve_activation(
        found.activation,
        options["activation"] or draft.activation,
        len(found.labels),
        f"models.{slug}.activation",
        found.problem_activation,
    )
    raw["max_length"] = raw.get("max_length") or found.max_length
    wanted: dict[Use, str | None] = {"evaluation": options["evaluation"], "calibration": options["calibration"]}
    sets = own_data.own_sets(slug, wanted, given, found.labels)
    if sets:
        raw["data"] = {**raw.get("data", {}), **{use: own.name for use, own in sets.items()}}
    if options["variants"]:
        names = [name.strip() for name in options["variants"].split(",")]
        raw["variants"] = {**raw.get("variants", {}), "include": names}
    entry = model_list.check_entry(slug, raw, paths.REGISTRY)
    check_task(slug, entry, found)
    check_max_length(slug, entry, found)
    text = paths.REGISTRY.read_text(encoding="utf-8")
    updated = model_list.append_entry(text, slug, _entry_yaml(raw))
    for use, own in sets.items():
        own_data.show(own, use)
    if options["dry_run"]:
        print(
            f"would add models.{slug}: {found.architecture}, {found.parameters / 1e6:.1f} M parameters in "
            f"{found.weight_dtype}, {len(found.labels)} label(s), {raw['activation']}, {raw['max_length']} tokens, "
            f"{license}\n"
            f"would pin {lock.location} at {lock.identity} ({len(lock.files)} files)\n"
            f"variants: {', '.join(entry.selected_variants())}"
        )
        return
    if sets:
        own_data.write(slug, tuple(sets.values()))
    files.write_file(paths.lock(slug), model_list.lock_json(lock))
    files.write_file(paths.REGISTRY, updated.encode())
    print(
        f"added models.{slug}: {found.architecture}, {found.parameters / 1e6:.1f} M parameters in "
        f"{found.weight_dtype}, {len(found.labels)} label(s), {raw['activation']}, {raw['max_length']} tokens, "
        f"{license}\n"
        f"pinned {lock.location} at {lock.identity} ({len(lock.files)} files)"
    )
    with contextlib.suppress(DataError, OSError):  # of a set that was there before: `check` says it
        if warning := borrowed_warning(slug, *set_uses(slug, entry, load_params())):
            print(warning)
    print("next: make repro")


def slug_of(source: str) -> str:
    """The name that a model gets where none is given: that of its folder or repo."""
    return re.sub(r"[^a-z0-9]+", "-", Path(source).resolve().name.lower()).strip("-")


def _entry_yaml(raw: dict[str, Any]) -> str:
    """The entry in the order that people read: where from, what, how, where to."""
    order = [key for key in ModelEntry.__struct_fields__ if key in raw]
    lines = []
    for key in order:
        flow = (
            yaml.safe_dump(raw[key], default_flow_style=True, sort_keys=False, width=1000).removesuffix("...\n").strip()
        )
        lines.append(f"{key}: {flow}")
    return "\n".join(lines)


def _declared_license(source: SourceEntry, commit: str | None) -> str | None:
    """The license in the model card's front matter, of a folder or of a repo."""
    if source.repo:
        from huggingface_hub import HfApi

        with hub_errors(source.repo, commit):
            card = HfApi().model_info(source.repo, revision=commit).card_data
        value = card.get("license") if card else None
    else:
        front = _front_matter(Path(source.path or "", "README.md"))
        value = front.get("license") if isinstance(front, dict) else None
    return value if isinstance(value, str) else None


def _front_matter(readme: Path) -> Any:
    """The YAML at the head of a model card; None where there is none that can be read."""
    try:
        found = re.match(r"---\n(.*?)\n---", readme.read_text(encoding="utf-8"), re.DOTALL)
        return yaml.safe_load(found.group(1)) if found else None
    except (OSError, ValueError, RecursionError, yaml.YAMLError):  # ValueError: a date that does not exist
        return None
