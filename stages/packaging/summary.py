"""The summary of a manifest: one line per variant, the same in the terminal, the card and the metrics."""

from typing import Any

from msgspec import Struct

from artificer.errors import SelectionError
from artificer.host import gpu_class
from artificer.manifest import Benchmark, Device, Manifest, Parity, Quality, Variant, on_device
from artificer.selection.policy import Policy
from artificer.selection.select import select
from stages.records.benchmarks import BASELINE, speedup


class Line(Struct, frozen=True, kw_only=True):
    """A variant, or a torch row, whose `runtime` is `torch`. `speedup` is the geometric mean over the rows of one
    host's benchmark. `is_judged`: quality was measured, of some variant at least."""

    id: str
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
    """Torch's rows, then all variants in table order, with the speeds of one host; what was also timed on its GPU has a
    second line."""
    timed = {subject.label: subject for subject in benchmark.subjects} if benchmark else {}
    is_judged = any(variant.quality for variant in manifest.variants)
    found = []
    devices: tuple[Device, ...] = ("cpu", "cuda") if any(s.device == "cuda" for s in timed.values()) else ("cpu",)
    named: list[tuple[str, Device]] = [(s.id, s.device) for s in timed.values() if s.id.startswith("torch-")]
    named += [(v.id, d) for v in manifest.variants for d in devices if d == "cpu" or on_device(v.id, d) in timed]
    for subject_id, device in named:
        variant = next((v for v in manifest.variants if v.id == subject_id), None)
        subject = timed.get(on_device(subject_id, device))
        proof = _proof(variant, device, benchmark)
        size = variant.size_bytes if variant else subject.size_bytes if subject else 0
        found.append(
            Line(
                id=on_device(subject_id, device),
                runtime=variant.runtime if variant else "torch",
                status=_status(variant, device, proof),
                size_megabytes=size / 1e6 if size else None,
                score_max_abs=proof.metrics.get("score_max_abs") if proof else None,
                spearman=proof.metrics.get("spearman") if proof else None,
                is_judged=is_judged,
                quality_ratio=_quality_ratio(manifest, subject_id) if device == "cpu" else None,
                speedup=speedup(subject) if subject else None,
                load_seconds=subject.load_seconds if subject else None,
                peak_megabytes=subject.peak_memory_bytes / 1e6 if subject else None,
                note=_note(variant) if device == "cpu" else "; ".join(proof.reasons if proof else ()),
            )
        )
    return found


def benchmark_of(manifest: Manifest, host: str) -> Benchmark | None:
    """That host's figures; another's when there are none."""
    own = [each for each in manifest.benchmarks if each.host.name == host]
    return next(iter([*own, *manifest.benchmarks]), None)


def fastest(manifest: Manifest, benchmark: Benchmark) -> Line | None:
    """The fastest variant, by the table's speed, of those that a service on that host's CPU may choose. Others run too:
    graphs for other instruction sets do, with scores that nobody proved."""
    try:
        choice = select(manifest, benchmark.host, Policy(device="cpu"))
    except SelectionError:
        return None
    fit = {candidate.variant.id for candidate in choice.executions}
    timed = [line for line in lines(manifest, benchmark) if line.id in fit and line.speedup is not None]
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
    found = [line for line in lines(manifest, benchmark) if line.status != "reference" and " on " not in line.id]
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


def _proof(variant: Variant | None, device: Device, benchmark: Benchmark | None) -> Parity | None:
    """The first record on the CPU, which decides over the variant; on a GPU that of the benchmark's own host."""
    if variant is None:
        return None
    gpu = gpu_class(benchmark.host.accelerators) if benchmark else ""
    records = [p for p in variant.parity if p.device == device and (device == "cpu" or p.isa_class == gpu)]
    return records[0] if records else None


def _status(variant: Variant | None, device: Device, proof: Parity | None) -> str:
    if variant is None:
        return "reference"
    if device == "cpu" or variant.status != "passed":
        return variant.status
    return proof.verdict if proof else "failed"


def _quality_ratio(manifest: Manifest, subject_id: str) -> float | None:
    """The reference is torch float32 itself; the quality of torch in other dtypes is not measured."""
    ratios = {variant.id: variant.quality.ratio for variant in manifest.variants if variant.quality}
    return 1.0 if ratios and subject_id == BASELINE else ratios.get(subject_id)


def _note(variant: Variant | None) -> str:
    return "" if variant is None else "; ".join(filter(None, [variant.reason, *variant.notes]))


def _text(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
