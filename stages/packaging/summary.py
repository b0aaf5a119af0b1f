"""The summary of a manifest: one line per variant, the same in the terminal, the card and the metrics."""

from typing import Any

from msgspec import Struct

from artificer.errors import SelectionError
from artificer.host import class_of, gpu_class
from artificer.manifest import Benchmark, BenchmarkSubject, Manifest, Parity, Quality, Variant
from artificer.manifest.metric_names import QUALITY_RATIO
from artificer.selection.policy import Policy
from artificer.selection.select import select
from stages.records.benchmarks import BASELINE, beside_torch, speedup


class Line(Struct, frozen=True, kw_only=True):
    """A variant, another execution of it, or a torch row, whose `runtime` is `torch`. `label` is the execution's
    (`manifest.execution_label`), `id` the same but for a variant's own execution. `speedup` is the geometric mean over
    the rows of one host's benchmark. `is_judged`: quality was measured, of some variant at least."""

    id: str
    label: str
    runtime: str
    status: str
    size_megabytes: float | None
    score_max_abs: float | None
    spearman: float | None
    quality_ratio: float | None
    is_judged: bool
    speedup: float | None
    load_seconds: float | None
    peak_megabytes: float | None
    note: str


def lines(manifest: Manifest, benchmark: Benchmark | None) -> list[Line]:
    """Torch's rows, then all variants in table order, with the speeds of one host. What else was timed of a variant, in
    another precision or on the GPU, has a line of its own."""
    timed = benchmark.subjects if benchmark else ()
    named: list[tuple[Variant | None, BenchmarkSubject | None]] = [(None, s) for s in timed if s.digest is None]
    for variant in manifest.variants:
        of_variant = [subject for subject in timed if subject.id == variant.id]
        own = next((subject for subject in of_variant if _is_own(variant, subject)), None)
        named += [(variant, own), *((variant, subject) for subject in of_variant if subject is not own)]
    is_judged = any(variant.quality for variant in manifest.variants)
    return [_line(manifest, variant, subject, benchmark, is_judged) for variant, subject in named]


def _line(
    manifest: Manifest,
    variant: Variant | None,
    subject: BenchmarkSubject | None,
    benchmark: Benchmark | None,
    is_judged: bool,
) -> Line:
    is_own = variant is not None and (subject is None or _is_own(variant, subject))
    proof = _proof(variant, subject, benchmark, is_own)
    size = variant.size_bytes if variant else subject.size_bytes if subject else 0
    label = subject.label if subject else variant.id if variant else ""
    return Line(
        id=variant.id if variant and is_own else label,
        label=label,
        runtime=variant.runtime if variant else "torch",
        status=_status(variant, proof, is_own),
        size_megabytes=size / 1e6 if size else None,
        score_max_abs=proof.metrics.get("score_max_abs") if proof else None,
        spearman=proof.metrics.get("spearman") if proof else None,
        is_judged=is_judged,
        quality_ratio=_quality_ratio(manifest, label, variant, proof, is_own),
        speedup=speedup(subject) if subject else None,
        load_seconds=subject.load_seconds if subject else None,
        peak_megabytes=subject.peak_memory_bytes / 1e6 if subject else None,
        note=_note(variant) if is_own or variant is None else "; ".join(proof.reasons if proof else ()),
    )


def benchmark_of(manifest: Manifest, host: str) -> Benchmark | None:
    """That host's figures; another's when there are none."""
    known = beside_torch(manifest.benchmarks)
    own = [each for each in known if each.host.name == host]
    return next(iter([*own, *known]), None)


def fastest(manifest: Manifest, benchmark: Benchmark) -> Line | None:
    """The fastest execution, by the table's speed, of those that a service on that host's CPU may choose. Others run
    too: graphs for other instruction sets do, with scores that nobody proved."""
    try:
        choice = select(manifest, benchmark.host, Policy(device="cpu"))
    except SelectionError:
        return None
    fit = {candidate.label for candidate in choice.executions}
    timed = [line for line in lines(manifest, benchmark) if line.label in fit and line.speedup is not None]
    return max(timed, key=lambda line: (line.speedup, line.id), default=None)


def markdown_table(rows: list[Line]) -> str:
    """The lines as a Markdown table."""
    head = [
        "variant",
        "status",
        "speed vs torch",
        "quality vs torch",
        "max score diff",
        "Spearman",
        "size",
        "load",
        "peak memory",
    ]
    body = [[line.id, line.status, *cells(line)] for line in rows]
    text = ["| " + " | ".join(head) + " |", "|---|---|" + "---:|" * (len(head) - 2)]
    text += ["| " + " | ".join(row) + " |" for row in body]
    return "\n".join(text)


def cells(line: Line) -> list[str]:
    """The figures of a line as text, a dash where there is none."""
    return [
        _text(line.speedup, "{:.2f}x"),
        _text(line.quality_ratio, "{:.2%}") if line.is_judged else "not measured",
        _text(line.score_max_abs, "{:.1e}"),
        _text(line.spearman, "{:.5f}"),
        _text(line.size_megabytes, "{:.1f} MB"),
        _text(line.load_seconds, "{:.2f} s"),
        _text(line.peak_megabytes, "{:.0f} MB"),
    ]


def metrics(manifest: Manifest, reference: Quality | None, host: str) -> dict[str, Any]:
    """What `dvc metrics show` prints of a model, one short row: rounded, so that a diff shows changes and not noise.

    Speed and size are those of the fastest variant on this host's CPU. The leaderboard has every variant.
    """
    benchmark = next((b for b in manifest.benchmarks if b.host.name == host), None)
    ids = {variant.id for variant in manifest.variants}
    found = [line for line in lines(manifest, benchmark) if line.id in ids]
    best = fastest(manifest, benchmark) if benchmark else None
    differences = {
        name: [
            distance
            for v in manifest.variants
            if v.precision_class == name
            for p in v.parity[:1]
            if (distance := p.metrics.get("score_max_abs")) is not None
        ]
        for name in ("fp32", "int8")
    }
    quality = {reference.main_metric: _rounded(reference.main_value, 4)} if reference else {}
    return quality | {
        "passed": sum(line.status == "passed" for line in found),
        "failed": sum(line.status == "failed" for line in found),
        "unsupported": sum(line.status == "unsupported" for line in found),
        "fastest": _fastest(best),
        "score_max_abs": {name: float(f"{max(values):.2g}") for name, values in differences.items() if values},
    }


def _fastest(line: Line | None) -> dict[str, float | None]:
    if line is None:
        return {}
    return {
        "speedup": _rounded(line.speedup, 2),
        "quality_ratio": _rounded(line.quality_ratio, 4),
        "megabytes": _rounded(line.size_megabytes, 1),
    }


def _is_own(variant: Variant, subject: BenchmarkSubject) -> bool:
    """Whether the subject is what the variant was built for: on the CPU, in its own precision, in the runtime's way."""
    own = variant.parity[0].execution_precision if variant.parity else subject.execution_precision
    return (subject.device, subject.execution_precision, subject.settings) == ("cpu", own, {})


def _proof(
    variant: Variant | None, subject: BenchmarkSubject | None, benchmark: Benchmark | None, is_own: bool
) -> Parity | None:
    """The record of what was timed, on a GPU that of the benchmark's own host. Of a variant's own execution the one
    that decided: the first that passed, else the first."""
    if variant is None:
        return None
    if is_own or subject is None or benchmark is None:
        own = [p for p in variant.parity if p.device == "cpu"]
        own = [p for p in own if p.execution_precision == own[0].execution_precision]
        return next((p for p in own if p.verdict == "passed"), own[0] if own else None)
    host = benchmark.host
    own_class = class_of(host, variant.runtime) if subject.device == "cpu" else gpu_class(host.accelerators)
    key = (subject.device, subject.execution_precision, subject.settings)
    records = [p for p in variant.parity if (p.device, p.execution_precision, p.settings) == key]
    here = [p for p in records if p.isa_class == own_class]
    return next(iter(here or (records if subject.device == "cpu" else [])), None)


def _status(variant: Variant | None, proof: Parity | None, is_own: bool) -> str:
    if variant is None:
        return "reference"
    if is_own or variant.status != "passed":
        return variant.status
    return proof.verdict if proof else "failed"


def _quality_ratio(
    manifest: Manifest, label: str, variant: Variant | None, proof: Parity | None, is_own: bool
) -> float | None:
    """The reference is torch float32 itself; the quality of torch in other dtypes is not measured."""
    if variant is None:
        return 1.0 if label == BASELINE and any(each.quality for each in manifest.variants) else None
    if is_own:
        return variant.quality.ratio if variant.quality else None
    return proof.metrics.get(QUALITY_RATIO) if proof else None


def _note(variant: Variant | None) -> str:
    return "" if variant is None else "; ".join(filter(None, [variant.reason, *variant.notes]))


def _text(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
