"""The registry's own commands: add, pin, pin-data, list, check, schema. `stages.cli` names them."""

import json
import os
import re
import tempfile
from collections.abc import Callable
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

from artificer import host
from artificer.hub.index import index_schema
from artificer.manifest import MANIFEST_FILE, Activation, Manifest, describe_file, manifest_schema
from stages import data
from stages.core import files, paths
from stages.core.errors import BuildError, RegistryError, SourceError, UsageError
from stages.core.params import load_params
from stages.core.variants import VARIANT_IDS, row
from stages.core.yaml_files import read_yaml
from stages.packaging import summary
from stages.publish import load_receipt
from stages.records import model_spec
from stages.registry import checkpoint, model_list, sources
from stages.registry.model_list import ModelEntry, SourceEntry


def add(source: str, slug: str | None, revision: str, license: str | None, activation: Activation | None) -> None:
    """Inspect a checkpoint, pin it, and append it to registry/models.yaml. Writes nothing when anything is wrong."""
    catalog = read_yaml(paths.CATALOG)["models"]
    if source in catalog:
        slug, raw = slug or source, dict(catalog[source])
    else:
        is_folder = Path(source).is_dir()
        if not is_folder and not re.fullmatch(model_list.REPO_PATTERN, source):
            known = ", ".join(catalog)
            raise UsageError(f"{source!r} is no folder, no repo id like org/name, and not in the catalog ({known}).")
        slug = slug or re.sub(r"[^a-z0-9]+", "-", Path(source).resolve().name.lower()).strip("-")
        raw = {
            "source": {"path": Path(os.path.relpath(source)).as_posix()}
            if is_folder
            else {"repo": source, "revision": revision}
        }
    if slug in model_list.slugs():
        raise RegistryError(f"{paths.REGISTRY}: models.{slug} is there already. Choose another with --slug.")
    draft = model_list.check_entry(slug, {"task": "text-ranking", "license": "unknown", **raw}, paths.REGISTRY)
    with tempfile.TemporaryDirectory() as folder:
        lock = sources.pin(draft.source, Path(folder))
        found = checkpoint.inspect(Path(folder), draft.source.location)
    license = license or raw.get("license") or _declared_license(draft.source, lock.revision)
    if license is None:
        raise SourceError(f"{source} declares no license. Give its SPDX id with --license, for example apache-2.0.")
    raw["task"] = raw.get("task") or ("text-ranking" if len(found.labels) == 1 else "text-classification")
    raw["license"] = license
    raw["activation"] = checkpoint.resolve_activation(
        found.activation,
        activation or draft.activation,
        len(found.labels),
        f"models.{slug}.activation",
        found.problem_activation,
    )
    raw["max_length"] = raw.get("max_length") or found.max_length
    entry = model_list.check_entry(slug, raw, paths.REGISTRY)
    model_spec.check_task(slug, entry, found)
    model_spec.check_max_length(slug, entry, found)
    text = paths.REGISTRY.read_text(encoding="utf-8")
    updated = model_list.append_entry(text, slug, _entry_yaml(raw))
    files.write_file(paths.lock(slug), model_list.lock_json(lock))
    files.write_file(paths.REGISTRY, updated.encode())
    print(
        f"added models.{slug}: {found.architecture}, {found.parameters / 1e6:.1f} M parameters in "
        f"{found.weight_dtype}, {len(found.labels)} label(s), {raw['activation']}, {raw['max_length']} tokens, "
        f"{license}\n"
        f"pinned {lock.location} at {lock.identity} ({len(lock.files)} files)\n"
        f"next: make repro"
    )


def pin(slug: list[str]) -> None:
    """Lock the files of entries as they are now, and say what changed."""
    for name in slug:
        entry = model_list.load_entry(name)
        with tempfile.TemporaryDirectory() as folder:
            lock = sources.pin(entry.source, Path(folder))
            checkpoint.inspect(Path(folder), entry.source.location)
        try:
            before = {entry.path: entry for entry in model_list.load_lock(name, entry).files}
        except RegistryError:
            before = {}
        now = {entry.path: entry for entry in lock.files}
        changed = [path for path in sorted(before.keys() | now.keys()) if before.get(path) != now.get(path)]
        files.write_file(paths.lock(name), model_list.lock_json(lock))
        print(f"{name}: {lock.location} at {lock.identity}: {', '.join(changed) or 'nothing'} changed")


def pin_data(name: list[str]) -> None:
    """Lock the commit of Hub data sets of params.yaml."""
    from huggingface_hub import HfApi

    sets = load_params().data.sets
    locked: dict[str, Any] = json.loads(paths.DATA_LOCK.read_text(encoding="utf-8"))
    for set_name in name:
        data_set = sets.get(set_name)
        if data_set is None or not data_set.dataset:
            raise UsageError(f"{paths.PARAMS}: data.sets has no Hub data set {set_name!r}.")
        with sources.hub_errors(data_set.dataset, data_set.revision):
            commit = HfApi().dataset_info(data_set.dataset, revision=data_set.revision).sha
        locked[set_name] = {"dataset": data_set.dataset, "from": data_set.revision, "commit": commit}
        print(f"{set_name}: {data_set.dataset} at {commit}")
    files.write_file(paths.DATA_LOCK, (json.dumps(locked, indent=2, sort_keys=True) + "\n").encode())


def list_models() -> None:
    """A table of the registry and what is built and published of it."""
    table = Table(title=str(paths.REGISTRY))
    for name in ("slug", "source", "pinned", "task", "passed", "fastest", "published"):
        table.add_column(name, overflow="fold", no_wrap=name == "slug")
    problems = []
    here = host.detect().name
    folder = cache(lambda: Path(load_params().publish.folder))  # read once, and only where something is packed
    for slug, entry in model_list.load_entries().items():
        passed, fastest = _built(slug, here)
        published, problem = _published(slug, folder)
        problems += [problem] if problem else []
        table.add_row(
            slug,
            entry.source.location,
            _pin_state(slug, entry),
            entry.task,
            passed,
            fastest,
            published,
        )
    Console().print(table)
    for problem in problems:
        print(problem)


def check() -> None:
    """Check registry, locks, local sources and params.yaml; raise RegistryError with everything that is wrong."""
    problems: list[str] = []

    def collect(action: Any) -> None:
        try:
            action()
        except BuildError as error:
            problems.append(str(error))

    def check_model(slug: str) -> None:
        entry = model_list.load_entry(slug)
        collect(lambda: check_source(slug, entry))
        if params is None:
            return
        collect(lambda: data.check(slug, entry, params))
        for variant_id in VARIANT_IDS:
            overrides = {**params.recipes.get(variant_id, {}), **entry.variants.recipes.get(variant_id, {})}
            if overrides:  # else the toolchain, which knows the fields, need not be imported
                table_row = row(variant_id)
                check_overrides = import_module(f"stages.{table_row.step}").check_overrides
                collect(partial(check_overrides, table_row, overrides))
        owner = owners.setdefault(model_list.publish_repo(slug, entry, params.publish.namespace), slug)
        if owner != slug:
            raise RegistryError(f"{paths.REGISTRY}: models.{slug}.publish.repo: models.{owner} publishes there too.")

    def check_source(slug: str, entry: ModelEntry) -> None:
        lock = model_list.load_lock(slug, entry)
        if entry.source.path is None:
            return
        if (state := _pin_state(slug, entry)) != "yes":
            raise SourceError(f"models.{slug}.source: {lock.location} {state}. Run `python -m stages pin {slug}`.")
        found = checkpoint.inspect(Path(entry.source.path), entry.source.path)
        model_spec.check_task(slug, entry, found)
        model_spec.check_max_length(slug, entry, found)

    params, owners = None, dict[str, str]()
    try:
        params = load_params()
    except BuildError as error:
        problems.append(str(error))
    slugs = model_list.slugs()
    for slug in slugs:
        collect(partial(check_model, slug))
    if not slugs:
        problems.append(f"{paths.REGISTRY}: models: nothing to build. Run `python -m stages add <repo-or-folder>`.")
    if problems:
        raise RegistryError("\n".join(problems))
    print(f"{paths.REGISTRY}, its locks and {paths.PARAMS} are in order")


def schema() -> None:
    """Write the JSON Schemas of the registry, of the manifest and of the index."""
    for path, value in (
        (paths.MODELS_SCHEMA, model_list.models_schema()),
        (paths.MANIFEST_SCHEMA, manifest_schema()),
        (paths.INDEX_SCHEMA, index_schema()),
    ):
        files.write_file(path, (json.dumps(value, indent=2, sort_keys=True) + "\n").encode())
        print(path)


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

        with sources.hub_errors(source.repo, commit):
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
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return None


def _pin_state(slug: str, entry: ModelEntry) -> str:
    """`yes`, or what keeps the entry from being built. Local files are compared with the lock byte by byte."""
    try:
        lock = model_list.load_lock(slug, entry)
    except RegistryError:
        return "is not pinned"
    if entry.source.path:
        root = Path(entry.source.path)
        for locked in lock.files:
            if not (root / locked.path).is_file():
                return f"lacks {locked.path}"
            if describe_file(root, locked.path) != locked:
                return f"differs from its lock in {locked.path}"
    return "yes"


def _built(slug: str, here: str) -> tuple[str, str]:
    """How many variants passed, and which is the fastest, on the host `here` if it was measured there."""
    path = paths.package(slug) / MANIFEST_FILE
    if not path.is_file():
        return "-", "-"
    manifest = Manifest.from_json(path.read_bytes())
    passed = sum(variant.status == "passed" for variant in manifest.variants)
    benchmark = summary.benchmark_of(manifest, here)
    best = summary.fastest(manifest, benchmark) if benchmark else None
    count = f"{passed}/{len(manifest.variants)}"
    if benchmark is None or best is None:
        return count, "-"
    where = "" if benchmark.host.name == here else f" on {benchmark.host.name}"
    return count, f"{best.id}, {best.speedup:.2f}x torch{where}"


def _published(slug: str, folder: Callable[[], Path]) -> tuple[str, str | None]:
    """Where the model went; and, where it is packed here, what is wrong with that and what to do."""
    receipt, packed = load_receipt(slug), paths.package(slug) / MANIFEST_FILE
    if receipt is None:
        return "-", None
    if packed.is_file():
        there = folder() / receipt.repo / MANIFEST_FILE
        if _sha256(packed) != receipt.manifest_sha256:
            return (
                f"{receipt.repo} (differs)",
                f"{slug}: what is packed here is not what was published last. Run `dvc repro`.",
            )
        if receipt.target == "folder" and not (there.is_file() and _sha256(there) == receipt.manifest_sha256):
            return (
                f"{receipt.repo} (gone)",
                f"{slug}: {there} is not what the receipt says. Run `python -m stages publish {slug}`.",
            )
    return receipt.repo, None


def _sha256(path: Path) -> str:
    return describe_file(path.parent, path.name).sha256
