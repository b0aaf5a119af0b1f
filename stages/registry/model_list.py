"""The registry: the only reader of registry/models.yaml, and the entry and lock of a model.

An entry says what a team wants; a lock says which bytes that is. `fetch` turns both into a ModelSpec
(stages/records/model_spec.py), which every later stage reads instead.
"""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from artificer.manifest import Activation, FileEntry, TaskName, canonical_json, tree_digest, unsafe_path_reason
from stages.core import paths
from stages.core.errors import RegistryError
from stages.core.names import (
    BRANCH_PATTERN,
    COMMIT_PATTERN,
    LICENSE_PATTERN,
    REPO_PATTERN,
    SLUG_PATTERN,
    is_commit,
    is_slug,
)
from stages.core.variants import DEFAULT_VARIANT_IDS, VARIANT_IDS, row
from stages.core.yaml_files import convert, parse_yaml, read_yaml
from stages.registry.licenses import license_problem

Slug = Annotated[str, Meta(pattern=SLUG_PATTERN)]
RepoId = Annotated[str, Meta(pattern=REPO_PATTERN)]


class SourceEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the checkpoint is: `repo` and `revision` (a commit, branch or tag) on the Hub, or a local folder `path`."""

    repo: RepoId | None = None
    revision: str | None = None
    path: str | None = None

    @property
    def location(self) -> str:
        """The repo id or the path."""
        return self.repo or self.path or ""


class PublishEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the artifacts go: a repo id below the target; omitted, `<publish.namespace>/<slug>`. The rest is for a Hub.

    `private` is what a new repo becomes, and what an existing one must be. `pull_request` proposes instead of
    committing to `branch`. `contents: variants` offers the variants' files alone, for somebody else's repo, whose card,
    configuration and tokenizer stay; `names` maps our file names to those of that repo.
    """

    repo: RepoId | None = None
    private: bool = True
    branch: Annotated[str, Meta(pattern=BRANCH_PATTERN)] = "main"
    pull_request: bool = False
    contents: Literal["package", "variants"] = "package"
    names: dict[str, str] = {}


class VariantsEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which variants to build, and fields of their recipes to override. Without `include`, the default ones; `optional`
    adds some that are not built by default."""

    include: tuple[str, ...] | None = None
    exclude: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    recipes: dict[str, dict[str, Any]] = {}


class DataEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Names of data sets in params.yaml, where this model needs others than the default."""

    evaluation: str | None = None
    calibration: str | None = None


class ModelEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One model of registry/models.yaml."""

    source: SourceEntry
    task: TaskName
    license: Annotated[str, Meta(pattern=LICENSE_PATTERN)]
    activation: Activation | None = None
    max_length: Annotated[int, Meta(ge=1)] | None = None
    publish: PublishEntry = PublishEntry()
    variants: VariantsEntry = VariantsEntry()
    data: DataEntry = DataEntry()

    def selected_variants(self) -> tuple[str, ...]:
        """Ids of the variants to build, in table order."""
        base = DEFAULT_VARIANT_IDS if self.variants.include is None else self.variants.include
        wanted = (*base, *self.variants.optional)
        return tuple(v for v in VARIANT_IDS if v in wanted and v not in self.variants.exclude)


class ModelsFile(Struct, frozen=True, forbid_unknown_fields=True):
    """registry/models.yaml as a whole: slug to entry."""

    models: dict[Slug, ModelEntry]


class Lock(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The pin of a source, in git. `revision` is the Hub's commit, or null for a local folder."""

    location: str
    revision: Annotated[str, Meta(pattern=COMMIT_PATTERN)] | None
    files: tuple[FileEntry, ...]

    @property
    def identity(self) -> str:
        """The commit, or for a local folder a digest of its files: what a manifest calls the source's revision."""
        return self.revision or f"sha256:{tree_digest(self.files)}"


def slugs() -> tuple[str, ...]:
    """Every slug, in the file's order."""
    return tuple(raw_entries())


def load_entry(slug: str) -> ModelEntry:
    """The validated entry. Raises RegistryError with the key path of what is wrong. Each call reads the file: for many
    models, `load_entries` reads it once."""
    models = raw_entries()
    if slug not in models:
        raise RegistryError(f"{paths.REGISTRY}: models: unknown model {slug!r}; known: {', '.join(models) or 'none'}.")
    return check_entry(slug, models[slug], paths.REGISTRY)


def load_entries() -> dict[str, ModelEntry]:
    """All validated entries by slug."""
    return {slug: check_entry(slug, raw, paths.REGISTRY) for slug, raw in raw_entries().items()}


def raw_entries() -> dict[str, Any]:
    """All entries as they are written, by slug. Raises RegistryError when the file is not a registry."""
    raw = read_yaml(paths.REGISTRY)
    models = raw.get("models") if isinstance(raw, dict) else None
    if not isinstance(raw, dict) or set(raw) != {"models"} or not isinstance(models, dict | None):
        raise RegistryError(f"{paths.REGISTRY}: expected one top-level key, `models`, that maps slugs to entries.")
    return {str(slug): entry for slug, entry in (models or {}).items()}


def check_entry(slug: str, raw: Any, path: Path) -> ModelEntry:
    """A raw entry as ModelEntry, with what a type cannot say checked as well."""
    where = f"models.{slug}"
    if not is_slug(slug):
        raise RegistryError(f"{path}: {where}: a slug is lower-case letters, digits and dashes ({SLUG_PATTERN}).")
    entry = convert(raw, ModelEntry, path, where)
    if problem := license_problem(entry.license):
        raise RegistryError(f"{path}: {where}.license: {problem}.")
    source = entry.source
    if bool(source.repo) == bool(source.path):
        raise RegistryError(f"{path}: {where}.source: expected one of `repo` and `path`.")
    if source.repo and not source.revision:
        raise RegistryError(f"{path}: {where}.source.revision: expected a commit, branch or tag of {source.repo}.")
    if source.path and source.revision:
        raise RegistryError(f"{path}: {where}.source.revision: a local folder has none; its lock holds file hashes.")
    _check_publish(entry.publish, path, f"{where}.publish")
    options = entry.variants
    for key, ids in (
        ("include", options.include or ()),
        ("exclude", options.exclude),
        ("optional", options.optional),
        ("recipes", tuple(options.recipes)),
    ):
        for variant_id in ids:
            if variant_id not in VARIANT_IDS:
                known = ", ".join(VARIANT_IDS)
                raise RegistryError(f"{path}: {where}.variants.{key}: no variant {variant_id!r}; known: {known}.")
    if "onnx" not in entry.selected_variants():
        raise RegistryError(f"{path}: {where}.variants: `onnx` cannot be left out: other variants are made from it.")
    selected = entry.selected_variants()
    for variant_id in selected:
        if row(variant_id).step == "quantize_openvino" and "openvino" not in selected:
            raise RegistryError(f"{path}: {where}.variants: `{variant_id}` is made from `openvino`; leave out both.")
    return entry


def load_lock(slug: str, entry: ModelEntry) -> Lock:
    """The pin. Raises RegistryError when there is none, or when it pins another source than the entry names."""
    path = paths.lock(slug)
    remedy = f"Run `python -m stages pin {slug}`."
    try:
        lock = msgspec.json.decode(path.read_bytes(), type=Lock)
    except FileNotFoundError:
        raise RegistryError(f"models.{slug}.source is not pinned: {path} is missing. {remedy}") from None
    except (OSError, msgspec.DecodeError) as error:
        raise RegistryError(f"{path}: {error}. {remedy}") from None
    if lock.location != entry.source.location:
        raise RegistryError(
            f"{path} pins {lock.location!r}, models.{slug}.source says {entry.source.location!r}. {remedy}"
        )
    if entry.source.repo and lock.revision is None:
        raise RegistryError(f"{path}: revision: expected the commit of {entry.source.repo}. {remedy}")
    if is_commit(entry.source.revision) and lock.revision != entry.source.revision:
        raise RegistryError(
            f"{path} pins {lock.revision}, but models.{slug}.source.revision names another commit. {remedy}"
        )
    for i, entry_file in enumerate(lock.files):
        reason = unsafe_path_reason(entry_file.path)
        if reason:
            raise RegistryError(f"{path}: files[{i}].path: {entry_file.path!r} is refused: {reason}.")
    return lock


def publish_repo(slug: str, entry: ModelEntry, namespace: str) -> str:
    """Where the model is published: the entry's repo, else one named after the slug."""
    return entry.publish.repo or f"{namespace}/{slug}"


def lock_json(lock: Lock) -> bytes:
    """The canonical bytes of a lock file."""
    return canonical_json(lock)


def append_entry(text: str, slug: str, entry_text: str) -> str:
    """The registry's text with one more entry at its end; every byte that was there stays.

    `entry_text` is the entry's YAML, unindented. `models` is the file's only key, so its block ends with the file.
    """
    key = slug if parse_yaml(slug, paths.REGISTRY) == slug else f'"{slug}"'  # YAML takes a bare `no` for false
    block = f"  {key}:\n" + "".join(f"    {line}\n" for line in entry_text.rstrip("\n").split("\n"))
    base = re.sub(r"(?m)^models:[ \t]*(\{\}|null|~)?[ \t]*$", "models:", text.rstrip("\n"), count=1)
    before = parse_yaml(text, paths.REGISTRY)["models"] or {}
    if slug in before:
        raise RegistryError(f"{paths.REGISTRY}: models.{slug} exists already.")
    updated = f"{base}\n\n{block}" if before else f"{base}\n{block}"
    after = parse_yaml(updated, paths.REGISTRY)["models"]
    if {k: v for k, v in after.items() if k != slug} != before:
        raise RegistryError(f"{paths.REGISTRY}: {slug} could not be appended; write it by hand:\n\n{block}")
    return updated


def _check_publish(publish: PublishEntry, path: Path, where: str) -> None:
    if publish.pull_request and publish.branch != "main":
        raise RegistryError(f"{path}: {where}.branch: the Hub opens pull requests on main only.")
    if publish.names and publish.contents != "variants":
        raise RegistryError(f"{path}: {where}.names: a package keeps its names; they are for `contents: variants`.")
    for ours, theirs in publish.names.items():
        reason = unsafe_path_reason(theirs)
        if reason:
            raise RegistryError(f"{path}: {where}.names.{ours}: {theirs!r} is refused: {reason}.")
    if len(set(publish.names.values())) != len(publish.names):
        raise RegistryError(f"{path}: {where}.names: two files have the same name.")
