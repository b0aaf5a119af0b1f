"""A record of what was proven and timed on one machine, and what it means for a manifest.

It belongs to one manifest, one host and the versions of its runtimes: for others it is worthless. Its verdicts are not
trusted: whoever uses it judges its figures by the manifest's thresholds again.
"""

from collections.abc import Iterable, Sequence
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from artificer.host import gpu_class
from artificer.manifest import (
    Benchmark,
    BenchmarkRow,
    BenchmarkSubject,
    Device,
    ExecutionPrecision,
    Host,
    Manifest,
    Parity,
    Settings,
    Sha256,
    Variant,
    execution_label,
)
from artificer.manifest.isa_classes import class_of
from artificer.manifest.metric_names import QUALITY_RATIO
from artificer.proving.judging import judge, thresholds_class
from artificer.proving.measurement import Measurement
from artificer.proving.proof_set import PRESET
from artificer.selection.speeds import nearest

RECORD_VERSION = "1.0"


class Speed(Struct, frozen=True, kw_only=True):
    """How fast an execution was, in turns with the plain float32 execution, whose speed ratios are to."""

    load_seconds: float
    peak_memory_bytes: Annotated[int, Meta(ge=0)]
    rows: tuple[BenchmarkRow, ...]


class ProvenExecution(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One execution of a variant, whose files have `digest`. Where it could not be run, `error` says why, and there is
    no measurement. `pairs` and `lengths` count the texts that it was compared on, evaluation pairs and texts of many
    lengths. `verdict` is by the manifest's thresholds."""

    id: str
    digest: Sha256
    precision: ExecutionPrecision
    device: Device
    settings: Settings
    verdict: str
    reasons: tuple[str, ...]
    measurement: Measurement | None = None
    error: str | None = None
    pairs: int = 0
    lengths: int = 0
    speed: Speed | None = None

    @property
    def label(self) -> str:
        """What it is called (`manifest.execution_label`)."""
        return execution_label(self.id, self.device, self.precision, self.settings)


class LocalRecord(Struct, frozen=True, kw_only=True):
    """What `artificer prove` found. `baseline` is the label of the plain float32 execution. `quick`: on fewer texts."""

    record_version: str
    slug: str
    manifest_sha256: Sha256
    proof_sha256: Sha256
    artificer_version: str
    host: Host
    threads: Annotated[int, Meta(ge=1)]
    baseline: str
    quick: bool
    seconds: float
    executions: tuple[ProvenExecution, ...]

    def problem(self, manifest_sha256: str, host: Host, artificer_version: str) -> str | None:
        """Why it is worthless for this manifest on this machine, or None."""
        if self.record_version.partition(".")[0] != RECORD_VERSION.partition(".")[0]:
            return f"it has version {self.record_version}, and this release reads {RECORD_VERSION}"
        if self.manifest_sha256 != manifest_sha256:
            return f"it was made for another manifest, with sha256 {self.manifest_sha256[:12]}…"
        if (self.host.name, self.host.isa_class) != (host.name, host.isa_class):
            return f"it was made on another class of machine, {self.host.name}"
        if self.host.runtimes != host.runtimes:
            return f"it was made with other runtimes: {_said(self.host)}; installed: {_said(host)}"
        if self.host != host:
            return "it was made on a machine with other instruction sets or devices"
        if self.artificer_version != artificer_version:
            return f"it was made by artificer {self.artificer_version}, and this is {artificer_version}"
        return None

    def amended(self, manifest: Manifest) -> Manifest:
        """The manifest as if its builder had proven and timed on this machine too: of the executions in the record, its
        own records of this class are replaced. Nothing else of it changes."""
        by_id: dict[str, list[ProvenExecution]] = {}
        for each in self.executions:
            by_id.setdefault(each.id, []).append(each)
        variants = tuple(
            _with_records(
                manifest, variant, self.host, [e for e in by_id.get(variant.id, ()) if e.digest == variant.digest]
            )
            for variant in manifest.variants
        )
        own = self.benchmark()
        own = msgspec.structs.replace(
            own,
            subjects=tuple(_with_tuning(each, self.host, self.threads, manifest.benchmarks) for each in own.subjects),
        )
        return msgspec.structs.replace(manifest, variants=variants, benchmarks=(own, *manifest.benchmarks))

    def benchmark(self) -> Benchmark:
        """Its figures of speed, as a manifest has them."""
        return Benchmark(
            host=self.host,
            preset=PRESET,
            threads=self.threads,
            rounds=1,
            baseline=self.baseline,
            subjects=tuple(
                BenchmarkSubject(
                    id=each.id,
                    digest=each.digest,
                    execution_precision=each.precision,
                    load_seconds=each.speed.load_seconds,
                    peak_memory_bytes=each.speed.peak_memory_bytes,
                    size_bytes=0,
                    rows=each.speed.rows,
                    device=each.device,
                    settings=each.settings,
                )
                for each in self.executions
                if each.speed is not None
            ),
        )

    def passed(self) -> int:
        """How many executions passed."""
        return sum(each.verdict == "passed" for each in self.executions)


def _with_tuning(
    subject: BenchmarkSubject, host: Host, threads: int, benchmarks: Sequence[Benchmark]
) -> BenchmarkSubject:
    """With what the builder found out on a near host with as many threads: a proof tunes nothing."""
    near = nearest(benchmarks, host, subject.device)
    if near is None or near.threads != threads:
        return subject
    same = [each for each in near.subjects if (each.label, each.digest) == (subject.label, subject.digest)]
    return msgspec.structs.replace(subject, tuning=same[0].tuning) if same else subject


def judged(manifest: Manifest, variant: Variant, measurement: Measurement) -> Parity:
    """The measurement by the thresholds that the manifest states for its class of precision."""
    assert manifest.proof is not None
    name = thresholds_class(variant.precision_class, measurement.execution_precision)
    return judge(measurement, manifest.proof.thresholds.get(name, {}), None)


def _with_the_builders(variant: Variant, found: Parity) -> Parity:
    """With the builder's records of the same execution, which saw more texts: a distance is the largest of all that
    passed, and quality on labelled data, which is not measured again, is the builder's."""
    metrics = dict(found.metrics)
    for each in variant.parity:
        if _key(each)[1:] != _key(found)[1:] or each.verdict != "passed":
            continue
        metrics.setdefault(QUALITY_RATIO, each.metrics.get(QUALITY_RATIO))
        for name, value in each.metrics.items():
            own = metrics.get(name)
            if name.endswith("_abs") and value is not None and own is not None:
                metrics[name] = max(own, value)
    if metrics.get(QUALITY_RATIO) is None:
        metrics.pop(QUALITY_RATIO, None)
    return msgspec.structs.replace(found, metrics=metrics)


def _with_records(manifest: Manifest, variant: Variant, host: Host, proven: Iterable[ProvenExecution]) -> Variant:
    """In place of the variant's own records of this class, in their order: the first says what it was built for."""
    new = {_key(record): record for each in proven for record in [_record(manifest, variant, host, each)]}
    placed = {_key(record): new.get(_key(record), record) for record in reversed(variant.parity)}
    ordered = [placed.pop(_key(record)) for record in variant.parity if _key(record) in placed]
    added = [record for key, record in new.items() if record not in ordered]
    return msgspec.structs.replace(variant, parity=(*ordered, *added))


def _record(manifest: Manifest, variant: Variant, host: Host, each: ProvenExecution) -> Parity:
    if each.measurement is not None:
        return _with_the_builders(variant, judged(manifest, variant, each.measurement))
    return Parity(
        runtime_version="",
        isa_class=class_of(host, variant.runtime) if each.device == "cpu" else gpu_class(host.accelerators),
        execution_precision=each.precision,
        default_precision=False,
        metrics={},
        thresholds={},
        verdict="failed",
        reasons=(each.error or "it could not be run",),
        device=each.device,
        settings=each.settings,
    )


def _key(record: Parity) -> tuple[str, str, str, tuple[tuple[str, str], ...]]:
    return record.isa_class, record.device, record.execution_precision, tuple(sorted(record.settings.items()))


def _said(host: Host) -> str:
    return ", ".join(f"{name} {version}" for name, version in sorted(host.runtimes.items())) or "none"
