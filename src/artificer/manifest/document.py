"""The manifest: the one contract between the builder, which writes it, and the runtime, which reads it.

A published folder holds `manifest.json` at its root. Paths in it are POSIX, relative to that root. The JSON is
canonical (sorted keys, two spaces, a final newline), so that the same build writes the same bytes. `versions.py` says
which schema versions are read.
"""

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from artificer.errors import ManifestError
from artificer.manifest.file_entries import (
    MANIFEST_FILE,
    SIGNATURE_FILE,
    canonical_json,
    tree_digest,
    unsafe_path_reason,
)
from artificer.manifest.old_classes import with_todays_classes
from artificer.manifest.proof_entry import ProofSetEntry
from artificer.manifest.structs import (
    Benchmark,
    DatasetInfo,
    FileEntry,
    GoldenSample,
    Head,
    Reference,
    Source,
    TaskName,
    TokenizerInfo,
    Variant,
)
from artificer.manifest.versions import SCHEMA_VERSION, UNREADABLE, schema_version, with_key_path

_TODAYS_CLASSES = (2, 1)  # the schema version since which classes of CPUs are those of `isa_classes`


class Manifest(Struct, frozen=True, kw_only=True):
    """Everything that a service needs to load a model and that an auditor asks about it.

    `rewritten` names the files that are not the source's own bytes, each with the reason. `proof` is null in packages
    from before schema 2.1, which no machine can prove.
    """

    schema_version: str
    slug: str
    name: str
    task: TaskName
    architecture: str
    head: Head
    max_length: Annotated[int, Meta(ge=1)]
    inputs: tuple[str, ...]
    tokenizer: TokenizerInfo
    files: tuple[FileEntry, ...]
    documents: tuple[FileEntry, ...]
    source: Source
    reference: Reference
    evaluation: DatasetInfo
    calibration: DatasetInfo
    golden: tuple[GoldenSample, ...]
    variants: tuple[Variant, ...]
    benchmarks: tuple[Benchmark, ...]
    rewritten: dict[str, str] = {}
    proof: ProofSetEntry | None = None

    @classmethod
    def from_json(cls, data: bytes) -> "Manifest":
        """Parse and validate.

        Raises:
            ManifestVersionError: another major version.
            ManifestError: anything else that is wrong, with its key path.
        """
        version = schema_version(data)
        try:
            if version[0] == 1:
                from artificer.manifest.version1 import ManifestV1  # imported here, since only 1.x needs it

                fields = msgspec.json.decode(data, type=ManifestV1).upgraded_fields()
                upgraded = cls(schema_version=SCHEMA_VERSION, **fields)
                # The types of 1.x say less than today's, and a constructor checks none.
                manifest = msgspec.convert(msgspec.to_builtins(upgraded), cls)
            else:
                manifest = msgspec.json.decode(data, type=cls)
        except UNREADABLE as error:
            raise ManifestError(f"{MANIFEST_FILE}: {with_key_path(error)}") from None
        if version < _TODAYS_CLASSES:
            variants, benchmarks = with_todays_classes(manifest.variants, manifest.benchmarks)
            manifest = msgspec.structs.replace(manifest, variants=variants, benchmarks=benchmarks)
        manifest.validate()
        return manifest

    def to_json(self) -> bytes:
        """The canonical bytes; `from_json` of them gives an equal manifest."""
        return canonical_json(self)

    def variant(self, variant_id: str) -> Variant:
        """The variant of that id. Raises ManifestError when there is none."""
        for variant in self.variants:
            if variant.id == variant_id:
                return variant
        known = ", ".join(v.id for v in self.variants)
        raise ManifestError(f"{self.slug} has no variant {variant_id!r}; it has: {known}.")

    def own_documents(self) -> tuple[FileEntry, ...]:
        """The files that the builder wrote beside the manifest: documents and proof set."""
        return self.documents if self.proof is None else (*self.documents, self.proof.file)

    def published_files(self) -> tuple[FileEntry, ...]:
        """Every file of the published folder except the manifest itself, sorted by path."""
        entries = [*self.files, *self.own_documents(), *(f for v in self.variants for f in v.files)]
        return tuple(sorted(entries, key=lambda entry: entry.path))

    def validate(self) -> None:
        """Raise ManifestError unless the parts agree with each other and every path stays inside the folder."""
        _check_paths(
            [("files", self.files), ("documents", self.documents)]
            + ([("proof", (self.proof.file,))] if self.proof is not None else [])
            + [(f"variants[{i}].files", v.files) for i, v in enumerate(self.variants)]
        )
        ids = [variant.id for variant in self.variants]
        for i, variant in enumerate(self.variants):
            where = f"variants[{i}] ({variant.id})"
            _require(ids.count(variant.id) == 1, where, "duplicate id")
            names = [entry.path for entry in variant.files]
            if variant.status == "passed":
                _require(variant.graph in names, where, "a passed variant's graph must be one of its files")
                _require(variant.digest == tree_digest(variant.files), where, "the digest does not match its files")
                _require(
                    any(p.verdict == "passed" for p in variant.parity),
                    where,
                    "a passed variant needs a passed parity record",
                )
            else:
                _require(not names and variant.graph is None, where, "only a passed variant has files")
                _require(bool(variant.reason), where, f"status {variant.status} needs a reason")
        _require(bool(self.inputs), "inputs", "expected at least one")
        unknown = sorted(self.rewritten.keys() - {entry.path for entry in self.files})
        _require(not unknown, "rewritten", f"{unknown} is not in files")
        tokenizer_files = [entry.path for entry in self.files]
        _require(self.tokenizer.file in tokenizer_files, "tokenizer.file", f"{self.tokenizer.file!r} is not in files")
        for i, golden in enumerate(self.golden):
            sizes = {len(output) for output in golden.outputs.values()}
            _require(sizes == {self.head.size}, f"golden[{i}].outputs", f"expected {self.head.size} numbers each")


def manifest_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of the manifest, as published in docs/manifest-v2.schema.json."""
    return msgspec.json.schema(Manifest)


def _check_paths(groups: list[tuple[str, tuple[FileEntry, ...]]]) -> None:
    seen = {name.casefold(): name for name in (MANIFEST_FILE, SIGNATURE_FILE)}
    for where, entries in groups:
        for i, entry in enumerate(entries):
            reason = unsafe_path_reason(entry.path)
            _require(reason is None, f"{where}[{i}].path", f"{entry.path!r} is refused: {reason}")
            key = entry.path.casefold()
            _require(key not in seen, f"{where}[{i}].path", f"{entry.path!r} clashes with {seen.get(key)!r}")
            seen[key] = entry.path


def _require(condition: bool, where: str, problem: str) -> None:
    if not condition:
        raise ManifestError(f"{MANIFEST_FILE}: {where}: {problem}.")
