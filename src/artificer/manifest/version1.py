"""Reading manifests of schema 1.x, which described cross-encoders of pairs only, as manifests of today's schema.

Only what differs from `structs.py` is defined here. Published packages of 1.x stay readable: do not change this module.
"""

from typing import Any

import msgspec
from msgspec import Struct

from artificer.manifest import structs
from artificer.manifest.structs import ClassifierHead, GoldenSample, Metrics, Rank

_RANKS = {
    "openvino-qint8": (10, 10, 200),
    "onnx-qint8-avx512_vnni": (20, 20, 200),
    "onnx-qint8-avx512": (30, 30, 200),
    "onnx-quint8-avx2": (40, 40, 200),
    "onnx-qint8-arm64": (50, 50, 200),
    "openvino": (95, 60, 200),
    "onnx-O2": (70, 70, 30),
    "onnx": (80, 80, 50),
    "onnx-O1": (90, 90, 40),
    "onnx-O3": (100, 100, 20),
    "onnx-O4": (110, 110, 10),
}
"""The order that readers of 1.x used: on other CPUs, on Intel's, on NVIDIA GPUs."""
_UNRANKED = 1000  # ids that are not listed came last, in the manifest's order


class Golden(Struct, frozen=True, kw_only=True):
    """One pair with the reference's logits."""

    query: str
    passage: str
    logits: tuple[float, ...]


class Figures(Struct, frozen=True, kw_only=True):
    """Differences from the reference."""

    logit_max_abs: float
    logit_mean_abs: float
    score_max_abs: float
    score_mean_abs: float
    spearman: float | None
    kendall: float | None
    top_k: int
    top_k_overlap: float
    batch_score_max_abs: float | None

    def metrics(self) -> Metrics:
        """By today's names."""
        found: Metrics = msgspec.structs.asdict(self)
        found["output_max_abs"] = found.pop("logit_max_abs")
        found["output_mean_abs"] = found.pop("logit_mean_abs")
        return found


class Thresholds(Struct, frozen=True, kw_only=True):
    """What figures were judged against."""

    score_max_abs: float | None
    score_mean_abs: float | None
    spearman: float | None
    top_k_overlap: float | None
    quality_ratio: float | None


class Parity(Struct, frozen=True, kw_only=True):
    """A judged measurement."""

    runtime_version: str
    isa_class: str
    execution_precision: structs.ExecutionPrecision
    default_precision: bool
    figures: Figures
    thresholds: Thresholds
    verdict: structs.ParityVerdict
    reasons: tuple[str, ...]
    device: structs.Device = "cpu"

    def upgraded(self) -> structs.Parity:
        """In today's terms."""
        return structs.Parity(
            runtime_version=self.runtime_version,
            isa_class=self.isa_class,
            execution_precision=self.execution_precision,
            default_precision=self.default_precision,
            metrics=self.figures.metrics(),
            thresholds=msgspec.structs.asdict(self.thresholds),
            verdict=self.verdict,
            reasons=self.reasons,
            device=self.device,
        )


class Quality(Struct, frozen=True, kw_only=True):
    """Quality on labelled pairs."""

    main_metric: str
    ndcg_at_10: float | None
    map: float | None
    spearman: float | None
    accuracy: float | None
    ratio: float
    macro_average_precision: float | None = None

    def upgraded(self) -> structs.Quality:
        """In today's terms: metrics that do not apply are left out."""
        found: Metrics = msgspec.structs.asdict(self)
        kept = {name: found[name] for name in found if name not in ("main_metric", "ratio") and found[name] is not None}
        return structs.Quality(main_metric=self.main_metric, metrics=kept, ratio=self.ratio)


class Attempt(Struct, frozen=True, kw_only=True):
    """One recipe that was tried."""

    recipe: str
    changes: dict[str, Any]
    score_max_abs: float | None
    score_mean_abs: float | None
    spearman: float | None
    top_k_overlap: float | None
    quality_ratio: float | None
    size_bytes: structs.Count
    missed: tuple[str, ...]

    def upgraded(self) -> structs.Attempt:
        """In today's terms."""
        names = ("score_max_abs", "score_mean_abs", "spearman", "top_k_overlap")
        return structs.Attempt(
            recipe=self.recipe,
            changes=self.changes,
            metrics={name: getattr(self, name) for name in names},
            quality_ratio=self.quality_ratio,
            size_bytes=self.size_bytes,
            missed=self.missed,
        )


class Recovery(Struct, frozen=True, kw_only=True):
    """What was tried for a variant whose plain recipe missed its thresholds: today's `Fallback`."""

    rows: structs.Count
    isa_class: str
    attempts: tuple[Attempt, ...]
    won: str | None
    size_ratio: float | None = None
    host: str | None = None
    speed_ratio: float | None = None

    def upgraded(self) -> structs.Fallback:
        """In today's terms."""
        return structs.Fallback(
            rows=self.rows,
            isa_class=self.isa_class,
            attempts=tuple(each.upgraded() for each in self.attempts),
            won=self.won,
            size_ratio=self.size_ratio,
            host=self.host,
            speed_ratio=self.speed_ratio,
        )


class Variant(Struct, frozen=True, kw_only=True):
    """One way to run the model."""

    id: str
    status: structs.Status
    reason: str | None
    runtime: structs.Runtime
    precision_class: structs.PrecisionClass
    minimum_runtime_version: str
    opset: int | None
    requires_isa: tuple[str, ...]
    graph: str | None
    files: tuple[structs.FileEntry, ...]
    size_bytes: structs.Count
    digest: structs.Sha256 | None
    recipe: dict[str, Any]
    tools: dict[str, str]
    notes: tuple[str, ...]
    parity: tuple[Parity, ...]
    quality: Quality | None
    recovery: Recovery | None = None

    def upgraded(self, position: int) -> structs.Variant:
        """In today's terms; `position` is its place in the manifest."""
        cpu, intel, cuda = _RANKS.get(self.id, (_UNRANKED + position,) * 3)
        return structs.Variant(
            id=self.id,
            status=self.status,
            reason=self.reason,
            runtime=self.runtime,
            rank=Rank(cpu=cpu, intel=intel, cuda=cuda),
            precision_class=self.precision_class,
            minimum_runtime_version=self.minimum_runtime_version,
            opset=self.opset,
            requires_isa=self.requires_isa,
            graph=self.graph,
            files=self.files,
            size_bytes=self.size_bytes,
            digest=self.digest,
            recipe=self.recipe,
            tools=self.tools,
            notes=self.notes,
            parity=tuple(each.upgraded() for each in self.parity),
            quality=self.quality.upgraded() if self.quality else None,
            fallback=self.recovery.upgraded() if self.recovery else None,
        )


class BenchmarkRow(Struct, frozen=True, kw_only=True):
    """One workload at one batch size."""

    workload: str
    batch_size: int
    pairs_per_second: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    speedup: float


class BenchmarkSubject(Struct, frozen=True, kw_only=True):
    """One subject of a benchmark."""

    id: str
    digest: structs.Sha256 | None
    execution_precision: structs.ExecutionPrecision
    load_seconds: float
    peak_memory_bytes: structs.Count
    size_bytes: structs.Count
    rows: tuple[BenchmarkRow, ...]
    device: structs.Device = "cpu"


class Benchmark(Struct, frozen=True, kw_only=True):
    """One run on one host."""

    host: structs.Host
    preset: str
    threads: int
    rounds: int
    subjects: tuple[BenchmarkSubject, ...]

    def upgraded(self) -> structs.Benchmark:
        """In today's terms."""
        raw = msgspec.to_builtins(self)
        for subject in raw["subjects"]:
            for row in subject["rows"]:
                row["inputs_per_second"] = row.pop("pairs_per_second")
        return msgspec.convert(raw, structs.Benchmark)


class ManifestV1(Struct, frozen=True, kw_only=True):
    """manifest.json of schema 1.x."""

    schema_version: str
    slug: str
    name: str
    task: structs.TaskName
    architecture: str
    labels: tuple[str, ...]
    activation: structs.Activation
    max_length: int
    inputs: tuple[str, ...]
    tokenizer: structs.TokenizerInfo
    files: tuple[structs.FileEntry, ...]
    documents: tuple[structs.FileEntry, ...]
    source: structs.Source
    reference: structs.Reference
    evaluation: structs.DatasetInfo
    calibration: structs.DatasetInfo
    golden: tuple[Golden, ...]
    variants: tuple[Variant, ...]
    benchmarks: tuple[Benchmark, ...]

    def upgraded_fields(self) -> dict[str, Any]:
        """The fields of today's manifest, except its schema version.

        Nothing read the task of 1.x, whose default was text-ranking: with several labels it is a classification.
        """
        several = self.task == "text-ranking" and len(self.labels) > 1
        return {
            "slug": self.slug,
            "name": self.name,
            "task": "text-classification" if several else self.task,
            "architecture": self.architecture,
            "head": ClassifierHead(labels=self.labels, activation=self.activation),
            "max_length": self.max_length,
            "inputs": self.inputs,
            "tokenizer": self.tokenizer,
            "files": self.files,
            "documents": self.documents,
            "source": self.source,
            "reference": self.reference,
            "evaluation": self.evaluation,
            "calibration": self.calibration,
            "golden": tuple(
                GoldenSample(inputs={"query": each.query, "passage": each.passage}, outputs={"logits": each.logits})
                for each in self.golden
            ),
            "variants": tuple(each.upgraded(position) for position, each in enumerate(self.variants)),
            "benchmarks": tuple(each.upgraded() for each in self.benchmarks),
        }
