"""What is to be published: the manifest, the files that it lists, and where each lies now."""

from dataclasses import dataclass, replace
from pathlib import Path

from artificer.manifest import MANIFEST_FILE, SIGNATURE_FILE, FileEntry, Manifest, describe_file
from stages.core import paths
from stages.core.errors import PublishError, UsageError
from stages.core.names import is_repo_id, is_slug
from stages.core.variants import row
from stages.registry.model_list import load_entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A packed model. `files` are in the manifest's order, then the manifest itself, and last the signature if there is
    one; `origins` says where they lie."""

    slug: str
    repo: str
    manifest: Manifest
    files: tuple[FileEntry, ...]
    origins: dict[str, Path]

    @property
    def manifest_sha256(self) -> str:
        """The SHA-256 of the manifest's bytes."""
        return self._entry(MANIFEST_FILE).sha256

    @property
    def signature_sha256(self) -> str | None:
        """The SHA-256 of the signature's bytes, or None."""
        return self._entry(SIGNATURE_FILE).sha256 if SIGNATURE_FILE in self.origins else None

    @property
    def bytes(self) -> int:
        """All files together."""
        return sum(entry.size for entry in self.files)

    def check(self, path: str, found: FileEntry) -> None:
        """Raise PublishError unless `found` is what the manifest says of `path`."""
        entry = self._entry(path)
        if (found.size, found.sha256) != (entry.size, entry.sha256):
            raise PublishError(
                f"{self.origins[path]}: the manifest says {entry.size} bytes, sha256 {entry.sha256}; "
                f"found {found.size}, {found.sha256}. Nothing was published; run `dvc repro`."
            )

    def _entry(self, path: str) -> FileEntry:
        return next(entry for entry in self.files if entry.path == path)


def with_signature(package: Package, path: Path) -> Package:
    """The package with the signature that lies at `path`."""
    entry = describe_file(path.parent, path.name)
    return replace(
        package,
        files=(*package.files, FileEntry(path=SIGNATURE_FILE, size=entry.size, sha256=entry.sha256)),
        origins={**package.origins, SIGNATURE_FILE: path},
    )


def load_package(slug: str) -> Package:
    """What `pack` made. Raises UsageError for an invalid slug, PublishError when nothing is packed."""
    if not is_slug(slug):
        raise UsageError(f"{slug!r} is not a slug; expected lower-case letters, digits and dashes.")
    folder = paths.package(slug)
    try:
        manifest = Manifest.from_json((folder / MANIFEST_FILE).read_bytes())
    except FileNotFoundError:
        load_entry(slug)  # raises when there is no such model
        raise PublishError(f"{folder}: nothing is packed. Run `dvc repro pack@{slug}`.") from None
    if not is_repo_id(manifest.name):
        raise PublishError(f"{folder / MANIFEST_FILE}: name: expected like org/name, found {manifest.name!r}.")
    return Package(
        slug=slug,
        repo=manifest.name,
        manifest=manifest,
        files=(*manifest.published_files(), describe_file(folder, MANIFEST_FILE)),
        origins=origins(slug, manifest),
    )


def origins(slug: str, manifest: Manifest) -> dict[str, Path]:
    """Where each published file lies now, by its published path."""
    found = {entry.path: paths.published_files(slug) / entry.path for entry in manifest.files}
    found |= {entry.path: paths.package(slug) / entry.path for entry in manifest.own_documents()}
    for variant in manifest.variants:
        folder = paths.variant(slug, row(variant.id))
        found |= {entry.path: folder / entry.path.rpartition("/")[2] for entry in variant.files}
    return found | {MANIFEST_FILE: paths.package(slug) / MANIFEST_FILE}
