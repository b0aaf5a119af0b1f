"""What a manifest is made of. `document.Manifest` puts it together."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from artificer.manifest.execution_names import Device as Device
from artificer.manifest.execution_names import ExecutionPrecision as ExecutionPrecision
from artificer.manifest.execution_names import Settings, execution_label, on_device

Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Count = Annotated[int, Meta(ge=0)]
Runtime = Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9-]*$")]
"""The name of a backend (`artificer.backends`). An unknown one is not an error: its variants are rejected."""
Status = Literal["passed", "failed", "unsupported"]
ParityVerdict = Literal["passed", "failed"]
Activation = Literal["identity", "sigmoid", "softmax"]
TaskName = Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9-]*$")]
"""The name of a task (`artificer.tasks`)."""
INPUT_NAMES = ("input_ids", "attention_mask", "token_type_ids")
"""The inputs that a graph may have: what texts can be made into."""
Metrics = dict[str, float | None]
"""Figures by name; null where a figure is undefined or was not measured."""
PrecisionClass = Literal["fp32", "gelu-approximation", "half", "int8"]
LengthRange = tuple[int, int]
"""First and last length, both included, in tokens."""


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


class DatasetInfo(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Labelled or calibration pairs: the name in params.yaml, the rows used, and the SHA-256 of the normalised rows.

    For a data set of the Hub, `dataset` is its id and `revision` the commit.
    """

    name: str
    rows: Count
    sha256: Sha256
    dataset: str | None = None
    revision: str | None = None


class TokenizerInfo(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a tokenizer.json leaves open: how texts are padded, at which end a text that is too long loses tokens, and
    the default prompt, which stands before the first text of each input. Truncation is `longest_first` at `max_length`.
    `padded` is false for a model whose scores padding changes: its batches hold texts of one length.
    """

    file: str
    pad_token: str
    pad_token_id: Count
    pad_token_type_id: Count
    padding_side: Literal["left", "right"]
    truncation_side: Literal["left", "right"] = "right"
    prompt: str = ""
    padded: bool = True


class Reference(Struct, frozen=True, kw_only=True):
    """What every figure is relative to: torch, float32, eager attention."""

    framework: Literal["torch"]
    version: str
    transformers_version: str
    sentence_transformers_version: str | None = None
    dtype: Literal["float32"]
    attention: Literal["eager"]


class ClassifierHead(Struct, frozen=True, kw_only=True, tag_field="type", tag="classifier"):
    """One logit per label. The library that loads the model applies the activation once, to get scores."""

    labels: Annotated[tuple[str, ...], Meta(min_length=1)]
    activation: Activation

    @property
    def size(self) -> int:
        """How many numbers the model returns per input."""
        return len(self.labels)

    @property
    def result(self) -> str:
        """What a caller gets, in words."""
        return f"{self.activation} of the logits"


class EmbeddingHead(Struct, frozen=True, kw_only=True, tag_field="type", tag="embedding"):
    """One vector of `dimensions` numbers per input."""

    dimensions: Annotated[int, Meta(ge=1)]

    @property
    def size(self) -> int:
        """How many numbers the model returns per input."""
        return self.dimensions

    @property
    def result(self) -> str:
        """What a caller gets, in words."""
        return f"vectors of {self.dimensions} numbers"


Head = ClassifierHead | EmbeddingHead
"""What a graph's output means, tagged by `type`."""


class GoldenSample(Struct, frozen=True, kw_only=True):
    """One input with what the reference returns for it: a self-test at load.

    `inputs` has the task's names (`query` and `passage` for pairs), `outputs` the graph's (`logits`, one per label).
    """

    inputs: dict[str, str]
    outputs: dict[str, tuple[float, ...]]


class Parity(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One parity record: an execution of a variant measured against the reference, on one ISA class, with its verdict.

    The execution is the variant on `device`, in `execution_precision`, opened with `settings`. `metrics` says how far
    it is from the reference over the evaluation set, by the names that the task defines (`artificer.tasks`), and over
    texts of many lengths (`artificer.proving`); `thresholds` has the limits of some of them, null for one that is not
    judged. On `cuda`, `isa_class` is the GPU's class (`host.gpu_class`). `reasons` says which threshold was missed; it
    is empty when the execution passed. `faulty_lengths` are the lengths of texts whose scores were beyond the limit.
    """

    runtime_version: str
    isa_class: str
    execution_precision: ExecutionPrecision
    default_precision: bool
    metrics: Metrics
    thresholds: Metrics
    verdict: ParityVerdict
    reasons: tuple[str, ...]
    device: Device = "cpu"
    settings: Settings = {}
    faulty_lengths: tuple[LengthRange, ...] = ()


class Quality(Struct, frozen=True, kw_only=True):
    """Quality on labelled data: the task's metrics by name, the one that decides, and its ratio to the reference's."""

    main_metric: str
    metrics: Metrics
    ratio: float

    @property
    def main_value(self) -> float:
        """The metric that `ratio` is about; 0 where it is undefined."""
        return self.metrics.get(self.main_metric) or 0.0


class Attempt(Struct, frozen=True, kw_only=True):
    """One recipe that was tried for a variant: what it changes of the plain one, and how far it was from the reference.

    `metrics` are those that have a threshold; all null where the graph could not be run. `missed` has a sentence for
    each threshold that was missed, none when the recipe passed.
    """

    recipe: str
    changes: dict[str, Any]
    metrics: Metrics
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


class Rank(Struct, frozen=True, kw_only=True):
    """A variant's place where no speeds are known for a machine; lower goes first.

    `intel` is the place on Intel's CPUs, `cpu` on all others, `cuda` on NVIDIA GPUs.
    """

    cpu: Count
    intel: Count
    cuda: Count


class Variant(Struct, frozen=True, kw_only=True):
    """One way to run the model, with the parity records that say whether it may be run.

    `graph` is the file that a runtime opens; `files` holds it with all its sidecars. Both are empty unless `passed`.
    `requires_isa` names instruction sets that must all be there. `size_bytes` and `digest` (`tree_digest` of its files)
    are also there when it was built and failed, so that figures can be told apart.
    """

    id: str
    status: Status
    reason: str | None
    runtime: Runtime
    rank: Rank
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


class Host(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A class of machines: what decides speed and, for int8, scores. `cores` is what the process may use.

    `isa_class` is the level of the CPU (`isa_classes.isa_class`). `runtime_isa` has the instruction sets of runtimes
    that may use fewer than the CPU has (ONEDNN_MAX_CPU_ISA): their class is another (`isa_classes.class_of`).
    """

    name: str
    architecture: str
    cpu_model: str
    isa: tuple[str, ...]
    isa_class: str
    cores: Annotated[int, Meta(ge=1)]
    accelerators: tuple[str, ...]
    runtimes: dict[str, str]
    runtime_isa: dict[Runtime, tuple[str, ...]] = {}


class BenchmarkRow(Struct, frozen=True, kw_only=True):
    """One workload at one batch size. Latencies are of one call with `batch_size` inputs, from texts to outputs, in
    milliseconds; `speedup` is the median over the rounds of speed over torch float32's in the same round."""

    workload: str
    batch_size: Annotated[int, Meta(ge=1)]
    inputs_per_second: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    speedup: float


class RequestRow(Struct, frozen=True, kw_only=True):
    """Milliseconds of a call with `inputs` inputs of new lengths, in a process that is loaded for `latency`."""

    inputs: Annotated[int, Meta(ge=1)]
    p50_ms: Annotated[float, Meta(gt=0)]
    p95_ms: Annotated[float, Meta(gt=0)]


class Tuning(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How batches are formed and spread: what changes an execution's speed and not what it is. Null leaves a choice to
    the runtime's own defaults.

    `streams` is how many batches are computed side by side, `max_tokens` and `max_rows` are the most of one batch, and
    a call with `split_from` inputs or more is cut into as many batches as there are streams.
    """

    streams: Annotated[int, Meta(ge=1)] | None = None
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    max_rows: Annotated[int, Meta(ge=1)] | None = None
    split_from: Annotated[int, Meta(ge=2)] | None = None

    def __str__(self) -> str:
        said = (
            (self.streams, f"{self.streams} stream" + ("" if self.streams == 1 else "s")),
            (self.max_tokens, f"at most {self.max_tokens} tokens a batch"),
            (self.max_rows, f"at most {self.max_rows} rows a batch"),
            (self.split_from, f"split from {self.split_from} inputs"),
        )
        return ", ".join(text for value, text in said if value is not None)


UNTUNED = Tuning()
"""The runtime's own defaults: what an execution runs with on a host like which none was measured."""


class BenchmarkSubject(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One candidate of a benchmark: an execution of a variant, or torch-fp32, torch-bf16, torch-fp16 on a device.
    `digest` ties a variant's figures to its bytes: figures of other bytes are ignored. Memory is the peak resident set
    of its own process; a GPU's own memory is not in it. `tuning` is what it was timed with on this host; `rows` are of
    texts that come again in every round."""

    id: str
    digest: Sha256 | None
    execution_precision: ExecutionPrecision
    load_seconds: float
    peak_memory_bytes: Count
    size_bytes: Count
    rows: tuple[BenchmarkRow, ...]
    device: Device = "cpu"
    settings: Settings = {}
    tuning: Tuning | None = None
    requests: tuple[RequestRow, ...] = ()

    @property
    def label(self) -> str:
        """What tells the subjects of one benchmark apart (`execution_label`); torch's ids say their precision."""
        if self.digest is None:
            return on_device(self.id, self.device)
        return execution_label(self.id, self.device, self.execution_precision, self.settings)


class Benchmark(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One run of all candidates, interleaved, on one host, every side with the same number of threads. `busy_percent`
    is the share of the CPUs that other programs used meanwhile, `workloads_sha256` tells the texts; null where they
    were not recorded. `baseline` is what speedups are over: another one than torch where `artificer prove` measured."""

    host: Host
    preset: str
    threads: Annotated[int, Meta(ge=1)]
    rounds: Annotated[int, Meta(ge=1)]
    subjects: tuple[BenchmarkSubject, ...]
    busy_percent: Annotated[float, Meta(ge=0, le=100)] | None = None
    workloads_sha256: Sha256 | None = None
    baseline: str = "torch-fp32"
