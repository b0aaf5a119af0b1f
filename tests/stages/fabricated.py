"""A built model without the toolchain: every file that `pack` reads, with made-up figures and bytes.

It lets packing, publishing and reporting be tested in milliseconds, with the same figures on every machine.
"""

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from artificer.manifest import (
    Benchmark,
    BenchmarkRow,
    BenchmarkSubject,
    Fallback,
    Host,
    Quality,
    Reference,
    canonical_json,
    tree_digest,
)
from artificer.proving.measurement import Measurement
from stages.core import files, paths
from stages.core.variants import VARIANTS, VariantRow
from stages.records import model_spec
from stages.records.fallback_costs import write_costs
from stages.records.pairs import Pair, write_pairs
from stages.records.parity_records import VariantParity
from stages.records.published_files import PublishedFiles
from stages.records.quality_report import QualityReport
from stages.records.reference_outputs import ReferenceLogits
from stages.records.variant_record import RECORD, VariantRecord, load_record, published_files
from stages.registry import model_list
from stages.registry.checkpoint.json_objects import Config
from stages.registry.checkpoint.tokenizer_files import read_tokenizer
from stages.registry.spec_resolution import resolve
from tests.stages import project

HOST = Host(
    name="amd-test-avx2-2c",
    architecture="x86_64",
    cpu_model="A Test CPU",
    isa=("avx2",),
    isa_class="avx2",
    cores=2,
    accelerators=(),
    runtimes={"onnxruntime": "1.32.0", "openvino": "2026.4.1"},
)
PAIRS = tuple(Pair(query=f"query {i // 4}", passage=f"passage {i}", label=float(i % 4 == 0)) for i in range(12))
SLUG = project.SLUG


@dataclass
class Fabricated:
    """What to make up: a status other than `built`, and figures other than perfect ones, by variant id."""

    statuses: dict[str, tuple[str, str]] = field(default_factory=dict)
    figures: dict[str, dict[str, Any]] = field(default_factory=dict)
    ratios: dict[str, float] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    default_bf16: tuple[str, ...] = ()
    speedups: dict[str, float] = field(default_factory=dict)
    recoveries: dict[str, Fallback] = field(default_factory=dict)

    def write(self, root: Path, checkpoint: Path, slug: str = SLUG) -> None:
        """Write it into the project at `root`, which must be the working directory."""
        folder = root / "checkpoints" / slug
        if not folder.exists():
            shutil.copytree(checkpoint, folder)
        with project.edited(root / "registry" / "models.yaml") as models:
            entry = {"source": {"path": f"checkpoints/{slug}"}, "task": "text-ranking", "license": "mit"}
            models["models"].setdefault(slug, entry)
        project.pin(root, slug)
        found = model_list.load_entry(slug)
        paths.source(slug).mkdir(parents=True, exist_ok=True)
        lock = model_list.load_lock(slug, found)
        for locked in lock.files:
            shutil.copyfile(folder / locked.path, paths.source(slug) / locked.path)
        resolved = resolve(slug, found, lock, paths.source(slug))
        model_spec.write_spec(resolved)
        _publish_as_it_came(slug)
        write_pairs(paths.evaluation(slug), "pairs", PAIRS)
        write_pairs(paths.calibration(slug), "calibration", [*PAIRS])
        files.write_file(paths.HOST, canonical_json(HOST))
        rows = [row for row in VARIANTS if row.id in resolved.variants]
        records = [self._write_variant(slug, row) for row in rows]
        built = [record for record in records if record.status == "built"]
        logits = tuple((float(i % 4 == 0) * 3 - i / 10,) for i in range(len(PAIRS)))
        reference = Reference(
            framework="torch", version="2.13.0", transformers_version="5.5.4", dtype="float32", attention="eager"
        )
        files.write_file(
            paths.reference(slug),
            canonical_json(
                ReferenceLogits(
                    made_with=reference, logits=logits, bare_max_abs=0.0, pairs_with_equal_tokens=len(PAIRS)
                )
            ),
        )
        files.write_file(paths.parity(slug), canonical_json([self._parity(record, logits) for record in built]))
        measured = [record.id for record in built if record.id not in self.errors]
        qualities = {variant_id: _quality(self.ratios.get(variant_id, 1.0)) for variant_id in measured}
        files.write_file(
            paths.quality(slug),
            canonical_json(
                QualityReport(
                    reference=_quality(1.0),
                    variants=qualities,
                    executions={variant_id: (quality,) for variant_id, quality in qualities.items()},
                )
            ),
        )
        files.write_file(paths.benchmark(slug), canonical_json(self.benchmark(HOST, built)))
        write_costs(paths.fallback_costs(slug, "onnx"), HOST, {})
        write_costs(paths.fallback_costs(slug, "openvino"), HOST, {})

    def benchmark(self, host: Host, records: list[VariantRecord]) -> Benchmark:
        """Made-up speeds: the same row for every candidate, scaled."""
        subjects = [_subject(name, None, 1.0) for name in ("torch-fp32", "torch-bf16", "torch-fp16")]
        subjects += [
            _subject(record.id, tree_digest(published_files(record)), self.speedups.get(record.id, 2.0 + i / 10))
            for i, record in enumerate(records)
        ]
        return Benchmark(host=host, preset="embedded", threads=2, rounds=1, subjects=tuple(subjects))

    def _write_variant(self, slug: str, row: VariantRow) -> VariantRecord:
        folder = paths.variant(slug, row)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        status, reason = self.statuses.get(row.id, ("built", None))
        if status == "built":
            (folder / row.file_name).write_bytes(f"graph of {row.id}\n".encode())
            if row.backend == "openvino":
                (folder / row.file_name).with_suffix(".bin").write_bytes(f"weights of {row.id}\n".encode())
        record = VariantRecord(
            id=row.id,
            status=status,  # type: ignore[arg-type]
            reason=reason,
            recipe={"preset": row.preset},
            inputs=("input_ids", "attention_mask", "token_type_ids") if status == "built" else (),
            opset=14 if row.backend == "onnx" and status == "built" else None,
            notes=("a note of O4",) if row.id == "onnx-O4" else (),
            tools={"onnxruntime": "1.32.0"},
            files=files.describe_folder(folder),
            fallback=self.recoveries.get(row.id),
        )
        (folder / RECORD).write_bytes(canonical_json(record))
        return record

    def _parity(self, record: VariantRecord, logits: tuple[tuple[float, ...], ...]) -> VariantParity:
        measured = [_measurement("f32", record.id not in self.default_bf16, self.figures.get(record.id, {}))]
        if record.id in self.default_bf16:
            measured.append(_measurement("bf16", True, {"score_max_abs": 0.003}))
        failed = self.errors.get(record.id)
        return VariantParity(
            id=record.id,
            digest=tree_digest(published_files(record)),
            error=failed,
            measurements=() if failed else tuple(measured),
            logits=() if failed else (logits,) * len(measured),
        )


def _publish_as_it_came(slug: str) -> None:
    """What `reference` writes of a checkpoint whose tokenizer is used as its files say."""
    folder = paths.published_files(slug)
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(paths.source(slug), folder, ignore=shutil.ignore_patterns("*.safetensors"))
    found = read_tokenizer(folder, Config.read(folder / "tokenizer_config.json"))
    assert found is not None
    record = PublishedFiles(tokenizer=found[1], files=files.describe_folder(folder), rewritten={})
    files.write_file(paths.published_record(slug), canonical_json(record))


def tighten(root: Path, name: str, **limits: float | None) -> None:
    """Change thresholds of one class of precision."""
    with project.edited(root / "params.yaml") as params:
        params["thresholds"][name].update(limits)


def add_host(slug: str, name: str, record_ids: tuple[str, ...], speedup: float) -> None:
    """Figures of another host in registry/benchmarks, of the bytes that are there now."""
    host = msgspec.structs.replace(HOST, name=name, cpu_model="Another CPU")
    fabricated = Fabricated(speedups=dict.fromkeys(record_ids, speedup))
    found = fabricated.benchmark(host, [load_record(slug, record_id) for record_id in record_ids])
    files.write_file(paths.benchmarks(slug) / f"{name}.json", canonical_json(found))


def _measurement(precision: Any, default: bool, changes: dict[str, Any]) -> Measurement:
    values: dict[str, Any] = {
        "output_max_abs": 2e-6,
        "output_mean_abs": 5e-7,
        "score_max_abs": 1e-6,
        "score_mean_abs": 1e-7,
        "spearman": 1.0,
        "kendall": 1.0,
        "top_k": 5,
        "top_k_overlap": 1.0,
        "batch_score_max_abs": 0.0,
        "length_score_max_abs": 1e-6,
        "process_score_max_abs": 0.0,
    }
    return Measurement(
        runtime_version="1.32.0",
        isa_class=HOST.isa_class,
        execution_precision=precision,
        default_precision=default,
        metrics={**values, **changes},
    )


def _quality(ratio: float) -> Quality:
    return Quality(
        main_metric="ndcg_at_10", metrics={"ndcg_at_10": 0.8 * ratio, "map": 0.7, "spearman": 0.5}, ratio=ratio
    )


def _subject(name: str, digest: str | None, speedup: float) -> BenchmarkSubject:
    rows = tuple(
        BenchmarkRow(
            workload="short",
            batch_size=size,
            inputs_per_second=100 * speedup,
            p50_ms=10 / speedup,
            p95_ms=12 / speedup,
            p99_ms=14 / speedup,
            speedup=speedup,
        )
        for size in (1, 8)
    )
    return BenchmarkSubject(
        id=name,
        digest=digest,
        execution_precision="f32",
        load_seconds=0.25,
        peak_memory_bytes=80_000_000,
        size_bytes=200_000,
        rows=rows,
    )


VARIED = Fabricated(
    statuses={"onnx-O2": ("failed", "RuntimeError: no such fusion"), "onnx-O4": ("unsupported", "no fp16 here")},
    figures={"onnx-qint8-avx512": {"score_max_abs": 0.5, "spearman": 0.9}},
    ratios={"openvino-qint8": 0.985},
    errors={"onnx-O1": "Fail: Load model from model_O1.onnx failed"},
    default_bf16=("openvino",),
)
"""A model of which some variants passed and some did not."""
