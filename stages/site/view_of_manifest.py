"""From a manifest to what the pages show. No other module of this room reads a manifest."""

from collections.abc import Sequence

from artificer.backends import BACKENDS
from artificer.host import class_of, gpu_class, isa_of
from artificer.manifest import (
    Benchmark,
    BenchmarkSubject,
    ClassifierHead,
    DatasetInfo,
    Device,
    ExecutionPrecision,
    FileEntry,
    Host,
    Manifest,
    Parity,
    Runtime,
    Variant,
    said,
)
from artificer.manifest.metric_names import QUALITY_RATIO
from stages.records.benchmarks import beside_torch, speedup
from stages.site import wording
from stages.site.view import (
    Attempted,
    Check,
    DataView,
    Execution,
    FileView,
    HostView,
    ModelView,
    OnHost,
    Proof,
    Timing,
    TorchRow,
    VariantView,
    Verdict,
)

TORCH = "torch-"
NEVER_RUN: "Kind" = ("cpu", "f32", ())
UNLISTED = ("top_k",)  # a setting among the metrics
Kind = tuple[Device, ExecutionPrecision, tuple[str, ...]]
"""Device, precision, and settings in words: what tells the executions of a variant apart."""


def model_view(manifest: Manifest) -> ModelView:
    """The page of one model."""
    head, benchmarks = manifest.head, beside_torch(manifest.benchmarks)
    versions = {"transformers": manifest.reference.transformers_version}
    if manifest.reference.sentence_transformers_version:
        versions["sentence-transformers"] = manifest.reference.sentence_transformers_version
    torch = f"{manifest.reference.framework} {manifest.reference.version}"
    return ModelView(
        slug=manifest.slug,
        name=manifest.name,
        task=manifest.task,
        architecture=manifest.architecture,
        labels=head.labels if isinstance(head, ClassifierHead) else (),
        result=head.result,
        max_length=manifest.max_length,
        prompt=manifest.tokenizer.prompt,
        license=manifest.source.license,
        source_kind=manifest.source.kind,
        source=manifest.source.location,
        revision=manifest.source.revision,
        source_files=_files(manifest.source.files),
        reference=f"{torch}, {manifest.reference.dtype}, {manifest.reference.attention} attention",
        tools=tuple(versions.items()),
        evaluation=_data(manifest.evaluation),
        calibration=_data(manifest.calibration),
        golden=len(manifest.golden),
        documents=_files(manifest.own_documents()),
        schema_version=manifest.schema_version,
        torch=_torch_rows(benchmarks),
        hosts=tuple(_host(benchmark) for benchmark in benchmarks),
        variants=tuple(_variant(variant, benchmarks) for variant in manifest.variants),
    )


def _variant(variant: Variant, benchmarks: Sequence[Benchmark]) -> VariantView:
    kinds = list(dict.fromkeys(_kind(record) for record in variant.parity))
    quality = variant.quality
    fallback = variant.fallback
    attempts, won = (fallback.attempts, fallback.won) if fallback else ((), None)
    return VariantView(
        id=variant.id,
        runtime=variant.runtime,
        precision=variant.precision_class,
        status=variant.status,
        reason=variant.reason or "",
        notes=variant.notes,
        requires=variant.requires_isa,
        size=variant.size_bytes,
        digest=variant.digest or "",
        opset=variant.opset,
        quality_metric=quality.main_metric if quality else "",
        quality_value=quality.main_value if quality else None,
        recipe=variant.recipe,
        tools=variant.tools,
        files=_files(variant.files),
        attempts=tuple(
            Attempted(recipe=each.recipe, missed=each.missed, is_kept=each.recipe == won) for each in attempts
        ),
        executions=tuple(_execution(variant, kind, benchmarks) for kind in kinds or [NEVER_RUN]),
    )


def _execution(variant: Variant, kind: Kind, benchmarks: Sequence[Benchmark]) -> Execution:
    device, precision, settings = kind
    records = [record for record in variant.parity if _kind(record) == kind]
    ratio = _ratio(variant, records)
    backend = BACKENDS.get(variant.runtime)
    takes_precision = backend is None or backend.takes_precision
    shown = precision if takes_precision and records else ""
    half = precision != "f32" and variant.precision_class != "int8"
    return Execution(
        variant=variant.id,
        label=_label(device, shown, settings),
        plain=_label(device, shown, ()),
        settings=settings,
        runtime=variant.runtime,
        precision="half" if half else variant.precision_class,
        is_default=takes_precision and not settings and any(record.default_precision for record in records),
        quality=ratio,
        proofs=tuple(_proof(record, ratio if i == 0 else None) for i, record in enumerate(records)),
        hosts={each.host.name: _on_host(variant, kind, records, each) for each in benchmarks},
        elsewhere=_elsewhere(variant, records),
    )


def _ratio(variant: Variant, records: Sequence[Parity]) -> float | None:
    """Quality of an execution over torch's. Manifests before 2.1 state it once, for what the first record is about."""
    own = next((record.metrics[QUALITY_RATIO] for record in records if QUALITY_RATIO in record.metrics), None)
    if own is not None or not records or variant.quality is None:
        return own
    return variant.quality.ratio if records[0] is variant.parity[0] else None


def _kind(found: Parity | BenchmarkSubject) -> Kind:
    return found.device, found.execution_precision, tuple(said(found.settings))


def _label(device: Device, precision: str, settings: Sequence[str]) -> str:
    return ", ".join([" ".join(filter(None, ["CPU" if device == "cpu" else "GPU", precision])), *settings])


def _on_host(variant: Variant, kind: Kind, records: Sequence[Parity], benchmark: Benchmark) -> OnHost:
    device, _, _ = kind
    timed = [each for each in benchmark.subjects if each.id == variant.id and _kind(each) == kind]
    own_class = _class(benchmark.host, variant.runtime, device)
    own = [record for record in records if record.isa_class == own_class]
    carried = [record for record in records if record.verdict == "passed" and _carries_over(variant, kind)]
    record = next(iter([*own, *carried]), None)
    verdict, reasons = _verdict(variant, records, record)
    subject = timed[0] if timed else None
    fits = device != "cpu" or all(name in isa_of(benchmark.host, variant.runtime) for name in variant.requires_isa)
    return _figures(subject, record, verdict=verdict, reasons=reasons, is_fit=fits, own_class=own_class)


def _elsewhere(variant: Variant, records: Sequence[Parity]) -> OnHost:
    """On a host that measured nothing of this model: scores of int8 depend on the CPU, those of float do not."""
    carried = [record for record in records if _carries_over(variant, _kind(record))]
    record = carried[0] if carried else None
    verdict, reasons = _verdict(variant, records, record)
    return _figures(None, record, verdict=verdict, reasons=reasons, is_fit=True, own_class="")


def _carries_over(variant: Variant, kind: Kind) -> bool:
    """Whether a record of one class of CPU holds on another: float32 does, as in `artificer.selection`."""
    return variant.precision_class != "int8" and kind[:2] == ("cpu", "f32")


def _verdict(variant: Variant, records: Sequence[Parity], record: Parity | None) -> tuple[Verdict, tuple[str, ...]]:
    if variant.status == "unsupported" or not records:
        return variant.status, (variant.reason or "",)
    if record is None:
        known = ", ".join(sorted({each.isa_class for each in records}))
        return "unproven", (f"no record of this host's class (there are: {known})",)
    if record.verdict == "failed":
        return "failed", record.reasons
    if variant.status != "passed":
        return "failed", (f"the variant was not published: {variant.reason}",)
    return "passed", ()


def _figures(
    subject: BenchmarkSubject | None,
    record: Parity | None,
    *,
    verdict: Verdict,
    reasons: tuple[str, ...],
    is_fit: bool,
    own_class: str,
) -> OnHost:
    return OnHost(
        verdict=verdict,
        reasons=reasons,
        faulty=wording.lengths(record.faulty_lengths) if record else "",
        tuning=str(subject.tuning or "") if subject else "",
        score_max_abs=record.metrics.get("score_max_abs") if record else None,
        spearman=record.metrics.get("spearman") if record else None,
        is_fit=is_fit,
        borrowed=record.isa_class if record and own_class not in ("", record.isa_class) else "",
        speedup=speedup(subject) if subject else None,
        load_seconds=subject.load_seconds if subject else None,
        peak_bytes=subject.peak_memory_bytes if subject else None,
        timings=_timings(subject) if subject else (),
    )


def _timings(subject: BenchmarkSubject) -> tuple[Timing, ...]:
    """The workloads of the rounds, then the calls of new lengths."""
    again = tuple(
        Timing(
            workload=row.workload,
            batch_size=row.batch_size,
            inputs_per_second=row.inputs_per_second,
            p50_ms=row.p50_ms,
            p95_ms=row.p95_ms,
            speedup=row.speedup,
        )
        for row in subject.rows
    )
    new = tuple(
        Timing(
            workload="new lengths",
            batch_size=row.inputs,
            inputs_per_second=1000 * row.inputs / row.p50_ms,
            p50_ms=row.p50_ms,
            p95_ms=row.p95_ms,
            speedup=None,
        )
        for row in subject.requests
    )
    return again + new


def _proof(record: Parity, ratio: float | None) -> Proof:
    metrics = {name: value for name, value in record.metrics.items() if name not in UNLISTED}
    if ratio is not None:
        metrics.setdefault(QUALITY_RATIO, ratio)
    limits = record.thresholds
    # What is judged goes first, in the order of the thresholds' names in the manifest.
    names = [*(name for name in limits if limits[name] is not None and name in metrics), *metrics]
    checks = [_check(name, metrics[name], limits.get(name)) for name in dict.fromkeys(names)]
    return Proof(
        machine_class=record.isa_class,
        runtime_version=record.runtime_version,
        faulty=wording.lengths(record.faulty_lengths),
        verdict=record.verdict,
        reasons=record.reasons,
        checks=tuple(checks),
    )


def _check(name: str, measured: float | None, limit: float | None) -> Check:
    is_distance = name.endswith("_abs")
    # An undefined correlation misses nothing: the reference has no order.
    missed = (
        limit is not None
        and (is_distance or measured is not None)
        and (measured is None or not (measured <= limit if is_distance else measured >= limit))
    )
    return Check(name=name, measured=measured, limit=limit, is_distance=is_distance, is_missed=missed)


def _torch_rows(benchmarks: Sequence[Benchmark]) -> tuple[TorchRow, ...]:
    found = {
        subject.label: {b.host.name: s for b in benchmarks for s in b.subjects if s.label == subject.label}
        for benchmark in benchmarks
        for subject in benchmark.subjects
        if subject.id.startswith(TORCH)
    }
    return tuple(
        TorchRow(
            id=label,
            hosts={host: speedup(subject) for host, subject in subjects.items()},
            load_seconds={host: subject.load_seconds for host, subject in subjects.items()},
            peak_bytes={host: subject.peak_memory_bytes for host, subject in subjects.items()},
        )
        for label, subjects in found.items()
    )


def _host(benchmark: Benchmark) -> HostView:
    host = benchmark.host
    return HostView(
        name=host.name,
        cpu=host.cpu_model,
        architecture=host.architecture,
        isa_class=host.isa_class,
        isa=host.isa,
        gpu=gpu_class(host.accelerators) if host.accelerators else "",
        threads=benchmark.threads,
        preset=benchmark.preset,
        rounds=benchmark.rounds,
        busy_percent=benchmark.busy_percent,
    )


def _class(host: Host, runtime: Runtime, device: Device) -> str:
    return class_of(host, runtime) if device == "cpu" else gpu_class(host.accelerators)


def _files(entries: Sequence[FileEntry]) -> tuple[FileView, ...]:
    return tuple(FileView(path=entry.path, size=entry.size, sha256=entry.sha256) for entry in entries)


def _data(found: DatasetInfo) -> DataView:
    return DataView(name=found.name, rows=found.rows, sha256=found.sha256)
