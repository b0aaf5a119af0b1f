"""The manifest: the one contract between the builder, which writes it, and the runtime, which reads it.

A published folder holds `manifest.json` at its root. Paths in it are POSIX, relative to that root. The JSON is
canonical (sorted keys, two spaces, a final newline), so that the same build writes the same bytes. Version rule:
another major is refused, a newer minor is read with a warning.
"""

import hashlib
import warnings
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from artificer.errors import ManifestError, ManifestVersionError

SCHEMA_VERSION = "1.0"
MANIFEST_FILE = "manifest.json"

Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Count = Annotated[int, Meta(ge=0)]
Runtime = Literal["onnx", "openvino"]
Status = Literal["passed", "failed", "unsupported"]
Activation = Literal["identity", "sigmoid", "softmax"]
Task = Literal["text-ranking", "text-classification"]
PrecisionClass = Literal["fp32", "gelu-approximation", "half", "int8"]
ExecutionPrecision = Literal["f32", "bf16", "f16"]
Device = Literal["cpu", "cuda"]


class FileEntry(Struct, frozen=True, kw_only=True):
    """One file: its path below the folder's root, its size in bytes, and the SHA-256 of its bytes."""

    path: str
    size: Count
    sha256: Sha256


class Source(Struct, frozen=True, kw_only=True):
    """Where the checkpoint came from.

    `location` is a Hub repo id, or a POSIX path for a local folder. `revision` is the 40-hex commit of a Hub repo;
    for a local folder it is `sha256:` and the digest of its file list (see `tree_digest`).
    """

    kind: Literal["hub", "local"]
    location: str
    revision: str
    license: str
    files: tuple[FileEntry, ...]


class DatasetInfo(Struct, frozen=True, kw_only=True):
    """Labelled or calibration pairs: the name in params.yaml, the rows used, and the SHA-256 of the normalised rows."""

    name: str
    rows: Count
    sha256: Sha256


class TokenizerInfo(Struct, frozen=True, kw_only=True):
    """What a tokenizer.json leaves open: how pairs are padded. Truncation is `longest_first` at `max_length`."""

    file: str
    pad_token: str
    pad_token_id: Count
    pad_token_type_id: Count
    padding_side: Literal["left", "right"]


class Reference(Struct, frozen=True, kw_only=True):
    """What every figure is relative to: torch, float32, eager attention."""

    framework: Literal["torch"]
    version: str
    transformers_version: str
    dtype: Literal["float32"]
    attention: Literal["eager"]


class Golden(Struct, frozen=True, kw_only=True):
    """One pair with the reference's logits, one per label: a self-test at load."""

    query: str
    passage: str
    logits: tuple[float, ...]


class Figures(Struct, frozen=True, kw_only=True):
    """How far a variant is from the reference over the evaluation pairs.

    Absolute differences of logits and of activated scores (with the activation `identity`: of logits, as a share of the
    reference's range); Spearman's rho and Kendall's tau-b over all pairs' logits;
    `top_k_overlap` is the mean share of the reference's top k per query that the variant also puts there.
    Correlations are null where they are undefined (fewer than two distinct values). `batch_score_max_abs` says how far
    a score moves between being scored alone and in a padded batch; null where it was not measured.
    """

    logit_max_abs: float
    logit_mean_abs: float
    score_max_abs: float
    score_mean_abs: float
    spearman: float | None
    kendall: float | None
    top_k: Count
    top_k_overlap: float
    batch_score_max_abs: float | None


class Thresholds(Struct, frozen=True, kw_only=True):
    """What `pack` judged figures against; null means that the figure is recorded but not judged."""

    score_max_abs: float | None
    score_mean_abs: float | None
    spearman: float | None
    top_k_overlap: float | None
    quality_ratio: float | None


class Parity(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One measurement of a variant against the reference: on one device and ISA class, at one execution precision.

    On `cuda`, `isa_class` is the GPU's class (`host.gpu_class`). `reasons` says which threshold was missed, empty when
    passed.
    """

    runtime_version: str
    isa_class: str
    execution_precision: ExecutionPrecision
    default_precision: bool
    figures: Figures
    thresholds: Thresholds
    verdict: Literal["passed", "failed"]
    reasons: tuple[str, ...]
    device: Device = "cpu"


class Quality(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Quality on the labelled pairs. NDCG@10 and MAP are means over queries (scikit-learn's ndcg_score and
    average_precision_score); for several labels, `accuracy` is how often the highest is the gold one, and
    `macro_average_precision`, where several may apply to a pair, the mean of average_precision_score over the labels;
    null where the gold labels allow none. `ratio` is the main metric over the reference's."""

    main_metric: Literal["ndcg_at_10", "spearman", "accuracy", "macro_average_precision"]
    ndcg_at_10: float | None
    map: float | None
    spearman: float | None
    accuracy: float | None
    ratio: float
    macro_average_precision: float | None = None


class Attempt(Struct, frozen=True, kw_only=True):
    """One recipe that was tried for a variant: what it changes of the plain one, and how far it was from the reference
    (see `Figures`; null where it could not be run). `missed` has a sentence for each threshold, none when it passed."""

    recipe: str
    changes: dict[str, Any]
    score_max_abs: float | None
    score_mean_abs: float | None
    spearman: float | None
    top_k_overlap: float | None
    quality_ratio: float | None
    size_bytes: Count
    missed: tuple[str, ...]


class Fallback(Struct, frozen=True, kw_only=True):
    """What was tried when a variant's plain recipe missed its thresholds, in that order, the plain one first.

    Judged on the first `rows` evaluation pairs, on the building host's ISA class. `won` is the recipe that passed and
    was kept; null: none did, and the plain one stands. `size_ratio` is its size over the plain one's, `speed_ratio` its
    pairs/s over the plain one's, interleaved on `host`; null where nothing was timed.
    """

    rows: Count
    isa_class: str
    attempts: tuple[Attempt, ...]
    won: str | None
    size_ratio: float | None = None
    host: str | None = None
    speed_ratio: float | None = None


class Variant(Struct, frozen=True, kw_only=True):
    """One way to run the model, with the proof that it may be run.

    `graph` is the file that a runtime opens; `files` holds it with all its sidecars. Both are empty unless `passed`.
    `requires_isa` names instruction sets that must all be there. `size_bytes` and `digest` (`tree_digest` of its files)
    are also there when it was built and failed, so that figures can be told apart.
    """

    id: str
    status: Status
    reason: str | None
    runtime: Runtime
    precision_class: PrecisionClass
    minimum_runtime_version: str
    opset: int | None
    requires_isa: tuple[str, ...]
    graph: str | None
    files: tuple[FileEntry, ...]
    size_bytes: Count
    digest: Sha256 | None
    recipe: dict[str, Any]
    tools: dict[str, str]
    notes: tuple[str, ...]
    parity: tuple[Parity, ...]
    quality: Quality | None
    fallback: Fallback | None = None


class Host(Struct, frozen=True, kw_only=True):
    """A class of machines: what decides speed and, for int8, scores. `cores` is what the process may use."""

    name: str
    architecture: str
    cpu_model: str
    isa: tuple[str, ...]
    isa_class: str
    cores: Annotated[int, Meta(ge=1)]
    accelerators: tuple[str, ...]
    runtimes: dict[str, str]


class BenchmarkRow(Struct, frozen=True, kw_only=True):
    """One workload at one batch size. Latencies are of one call with `batch_size` pairs, texts to logits, in
    milliseconds; `speedup` is the median over the rounds of pairs/s over torch fp32's pairs/s in the same round."""

    workload: str
    batch_size: Annotated[int, Meta(ge=1)]
    pairs_per_second: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    speedup: float


class BenchmarkSubject(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One candidate of a benchmark: a variant's id, or torch-fp32, torch-bf16, torch-fp16, and the device that it ran
    on. `digest` ties a variant's figures to its bytes: figures of other bytes are ignored. Memory is the peak resident
    set of its own process; a GPU's own memory is not in it."""

    id: str
    digest: Sha256 | None
    execution_precision: ExecutionPrecision
    load_seconds: float
    peak_memory_bytes: Count
    size_bytes: Count
    rows: tuple[BenchmarkRow, ...]
    device: Device = "cpu"

    @property
    def label(self) -> str:
        """The id, and the device where that is not the CPU: what tells the subjects of one benchmark apart."""
        return on_device(self.id, self.device)


class Benchmark(Struct, frozen=True, kw_only=True):
    """One run of all candidates, interleaved, on one host, every side with the same number of threads."""

    host: Host
    preset: str
    threads: Annotated[int, Meta(ge=1)]
    rounds: Annotated[int, Meta(ge=1)]
    subjects: tuple[BenchmarkSubject, ...]


class Manifest(Struct, frozen=True, kw_only=True):
    """Everything that a service needs to load a model and that an auditor asks about it."""

    schema_version: str
    slug: str
    name: str
    task: Task
    architecture: str
    labels: tuple[str, ...]
    activation: Activation
    max_length: Annotated[int, Meta(ge=1)]
    inputs: tuple[str, ...]
    tokenizer: TokenizerInfo
    files: tuple[FileEntry, ...]
    documents: tuple[FileEntry, ...]
    source: Source
    reference: Reference
    evaluation: DatasetInfo
    calibration: DatasetInfo
    golden: tuple[Golden, ...]
    variants: tuple[Variant, ...]
    benchmarks: tuple[Benchmark, ...]

    @classmethod
    def from_json(cls, data: bytes) -> "Manifest":
        """Parse and validate.

        Raises:
            ManifestVersionError: another major version.
            ManifestError: anything else that is wrong, with its key path.
        """
        _check_version(data)
        try:
            manifest = msgspec.json.decode(data, type=cls)
        except _UNREADABLE as error:
            raise ManifestError(f"{MANIFEST_FILE}: {_with_key_path(error)}") from None
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

    def published_files(self) -> tuple[FileEntry, ...]:
        """Every file of the published folder but the manifest itself, sorted by path."""
        entries = [*self.files, *self.documents, *(f for v in self.variants for f in v.files)]
        return tuple(sorted(entries, key=lambda entry: entry.path))

    def validate(self) -> None:
        """Raise ManifestError unless the parts agree with each other and every path stays inside the folder."""
        _check_paths(
            [("files", self.files), ("documents", self.documents)]
            + [(f"variants[{i}].files", v.files) for i, v in enumerate(self.variants)]
        )
        ids = [variant.id for variant in self.variants]
        for i, variant in enumerate(self.variants):
            where = f"variants[{i}] ({variant.id})"
            _require(ids.count(variant.id) == 1, where, "the id is there twice")
            names = [entry.path for entry in variant.files]
            if variant.status == "passed":
                _require(variant.graph in names, where, "a passed variant's graph must be one of its files")
                _require(variant.digest == tree_digest(variant.files), where, "the digest is not that of its files")
                _require(any(p.verdict == "passed" for p in variant.parity), where, "passed without a passed parity")
            else:
                _require(not names and variant.graph is None, where, "only a passed variant has files")
                _require(bool(variant.reason), where, f"status {variant.status} needs a reason")
        _require(bool(self.labels), "labels", "expected at least one")
        _require(bool(self.inputs), "inputs", "expected at least one")
        tokenizer_files = [entry.path for entry in self.files]
        _require(self.tokenizer.file in tokenizer_files, "tokenizer.file", f"{self.tokenizer.file!r} is not in files")
        for i, golden in enumerate(self.golden):
            _require(len(golden.logits) == len(self.labels), f"golden[{i}].logits", "expected one per label")


def on_device(name: str, device: Device) -> str:
    """`onnx-O4` on the CPU, `onnx-O4 on cuda` on a GPU."""
    return name if device == "cpu" else f"{name} on {device}"


def canonical_json(value: Any) -> bytes:
    """Sorted keys, two spaces, a final newline: equal values give equal bytes."""
    return msgspec.json.format(msgspec.json.encode(value, order="sorted"), indent=2) + b"\n"


def manifest_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of the manifest, as published in docs/manifest-v1.schema.json."""
    return msgspec.json.schema(Manifest)


def tree_digest(files: Iterable[FileEntry]) -> str:
    """One SHA-256 for a set of files: over the lines `<sha256>  <path>`, sorted by path, as `sha256sum` prints them."""
    lines = (f"{entry.sha256}  {entry.path}\n" for entry in sorted(files, key=lambda entry: entry.path))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def describe_file(root: Path, path: str) -> FileEntry:
    """Size and SHA-256 of `root / path`, read once."""
    with (root / path).open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        return FileEntry(path=path, size=stream.tell(), sha256=digest)


def unsafe_path_reason(path: str) -> str | None:
    """Why `path` must not be joined to a folder, or None: it must be a plain relative POSIX path on every system."""
    if not path or "\0" in path or "\\" in path or ":" in path:
        return "it is empty or holds NUL, a backslash or a colon"
    if any(ord(char) < 32 or ord(char) == 127 or 0xD800 <= ord(char) <= 0xDFFF for char in path):
        return "it holds a control character or a lone surrogate"
    parts = path.split("/")
    if PurePosixPath(path).is_absolute() or any(part in ("", ".", "..") for part in parts):
        return "it is absolute, or climbs out of the folder, or is not normalised"
    if any(part.endswith((" ", ".")) for part in parts):
        return "a part ends in a dot or a space, which some file systems drop"
    return None


def _check_version(data: bytes) -> None:
    class Version(Struct):
        schema_version: str

    try:
        found = msgspec.json.decode(data, type=Version).schema_version
    except _UNREADABLE as error:
        raise ManifestError(f"{MANIFEST_FILE}: {_with_key_path(error)}") from None
    major, dot, minor = found.partition(".")
    if not (dot and major.isdecimal() and minor.isdecimal() and len(found) <= 16):
        raise ManifestVersionError(
            f"{MANIFEST_FILE}: schema_version: expected like {SCHEMA_VERSION!r}, found {found!r}."
        )
    own_major, _, own_minor = SCHEMA_VERSION.partition(".")
    if int(major) != int(own_major):
        raise ManifestVersionError(
            f"{MANIFEST_FILE}: schema_version is {found}, this release reads {own_major}.x: "
            + ("upgrade the artificer package." if int(major) > int(own_major) else "build the model again.")
        )
    if int(minor) > int(own_minor):
        warnings.warn(
            f"{MANIFEST_FILE} has schema version {found}, newer than {SCHEMA_VERSION}: what it adds is ignored.",
            stacklevel=3,
        )


def _check_paths(groups: list[tuple[str, tuple[FileEntry, ...]]]) -> None:
    seen = {MANIFEST_FILE: MANIFEST_FILE}
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


# msgspec raises these too: for bytes that are no UTF-8, and for brackets nested by the thousand.
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def _with_key_path(error: Exception) -> str:
    """msgspec says "Expected `int`, got `str` - at `$.variants[0].opset`"; put the key path first."""
    message, at, path = str(error).partition(" - at `$")
    return f"{path.rstrip('`').lstrip('.')}: {message}." if at else f"{message}."
