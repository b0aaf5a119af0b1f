"""Which variant to run: a pure function of the manifest, the host and the caller's policy.

Selection filters first, and keeps the reason of every rejection; then it ranks what is left. What was measured on a
host of this class decides; without such figures, the order of sentence-transformers' flowchart does
(https://sbert.net/docs/cross_encoder/usage/efficiency.html#recommendations).
"""

from dataclasses import dataclass, field
from typing import Literal

from artificer.errors import SelectionError
from artificer.figures import Measured, measured, nearest
from artificer.manifest import ExecutionPrecision, Host, Manifest, Parity, Runtime, Variant
from artificer.versions import at_least

Objective = Literal["latency", "throughput", "size"]

PACKAGES: dict[Runtime, str] = {"onnx": "onnxruntime", "openvino": "openvino"}

# Without figures of a near host; ids that are not listed come last, in the manifest's order.
_LOSSY = ("openvino-qint8", "onnx-qint8-avx512_vnni", "onnx-qint8-avx512", "onnx-quint8-avx2", "onnx-qint8-arm64")
_EXACT_INTEL = ("openvino", "onnx-O2", "onnx", "onnx-O1", "onnx-O3", "onnx-O4")
_EXACT = ("onnx-O2", "onnx", "onnx-O1", "openvino", "onnx-O3", "onnx-O4")
_ACCELERATED = ("onnx-O4", "onnx-O3", "onnx-O2", "onnx-O1", "onnx")


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the caller wants and what it tolerates.

    Attributes:
        objective: `latency` ranks by the median time of the smallest batch, `throughput` by pairs/s of the larger
            batches, `size` by bytes.
        exact: only variants of the fp32 class, which return the reference's scores to float rounding.
        allow_bf16: let OpenVINO compute in bfloat16 where that has passed parity and the CPU has it.
        quality_floor: the least quality on the labelled pairs, as a ratio to the reference's; None trusts the verdict.
        memory_ceiling_bytes: the most resident memory, as measured by the builder, else the files' size.
        runtime: only this one.
        accelerator: rank for a GPU.
    """

    objective: Objective = "throughput"
    exact: bool = False
    allow_bf16: bool = False
    quality_floor: float | None = None
    memory_ceiling_bytes: int | None = None
    runtime: Runtime | None = None
    accelerator: bool = False


@dataclass(frozen=True, slots=True)
class Candidate:
    """An admissible variant: the precision it may compute in, and the parity record that proves it."""

    variant: Variant
    precision: ExecutionPrecision
    parity: Parity
    measured: Measured | None


@dataclass(frozen=True, slots=True)
class Choice:
    """The candidates, best first; why the first is first; and why each of the others is not among them."""

    candidates: tuple[Candidate, ...]
    basis: str
    rejected: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def best(self) -> Candidate:
        """What to open."""
        return self.candidates[0]


def select(manifest: Manifest, host: Host, policy: Policy = Policy(), variant: str | None = None) -> Choice:
    """Choose among the manifest's variants.

    Args:
        variant: the id of the only one that may be chosen. It must be admissible all the same.

    Raises:
        SelectionError: nothing is admissible, or `variant` is not; each reason is listed.
    """
    if variant is not None and variant not in {each.id for each in manifest.variants}:
        known = ", ".join(each.id for each in manifest.variants)
        raise SelectionError(f"{manifest.slug} has no variant {variant!r}; it has: {known}.")
    near = nearest(manifest.benchmarks, host)
    candidates: list[Candidate] = []
    rejected: dict[str, tuple[str, ...]] = {}
    for each in manifest.variants:
        found = admit(manifest, each, host, policy)
        if isinstance(found, Candidate):
            candidates.append(found)
        else:
            rejected[each.id] = found
    if variant is not None:
        if variant in rejected:
            raise SelectionError(f"{manifest.slug}: {variant} was asked for, but {'; '.join(rejected[variant])}.")
        others = {each.variant.id: (f"{variant} was asked for",) for each in candidates if each.variant.id != variant}
        asked = tuple(each for each in candidates if each.variant.id == variant)
        return Choice(asked, "the caller asked for it", rejected | others)
    if not candidates:
        lines = "\n".join(f"  {key}: {'; '.join(reasons)}" for key, reasons in rejected.items())
        raise SelectionError(f"{manifest.slug}: no variant is admissible on {host.name}:\n{lines}")
    ordered, basis = rank(candidates, near.host.name if near else None, host, policy)
    return Choice(tuple(ordered), basis, rejected)


def admit(manifest: Manifest, variant: Variant, host: Host, policy: Policy) -> Candidate | tuple[str, ...]:
    """The variant as a candidate, or every reason why it is none."""
    if variant.status != "passed":
        return (f"the build recorded it as {variant.status}: {variant.reason}",)
    reasons = [*_runtime_reasons(variant, host, policy)]
    if missing := [name for name in variant.requires_isa if name not in host.isa]:
        reasons.append(f"this CPU has no {', '.join(missing)}")
    if policy.exact and variant.precision_class != "fp32":
        reasons.append(f"its precision class is {variant.precision_class}, and exact scores were asked for")
    parity = proof(variant, host, policy)
    if isinstance(parity, str):
        reasons.append(parity)
    if policy.quality_floor is not None:
        if variant.quality is None:
            reasons.append("its quality was not measured, and a floor was asked for")
        elif variant.quality.ratio < policy.quality_floor:
            reasons.append(f"its quality ratio {variant.quality.ratio:.4f} is below {policy.quality_floor:.4f}")
    precision = parity.execution_precision if isinstance(parity, Parity) else "f32"
    figures = measured(manifest.benchmarks, host, variant, precision)
    if policy.memory_ceiling_bytes is not None:
        need = figures.peak_memory_bytes if figures else variant.size_bytes
        if need > policy.memory_ceiling_bytes:
            reasons.append(f"it needs {need} bytes of memory, more than {policy.memory_ceiling_bytes}")
    if reasons or isinstance(parity, str):
        return tuple(reasons)
    return Candidate(variant, precision, parity, figures)


def proof(variant: Variant, host: Host, policy: Policy) -> Parity | str:
    """The passed parity record to rely on here, or why there is none.

    The arithmetic of int8 depends on the CPU's instructions, so int8 needs a record of this very ISA class. The other
    classes carry over between CPUs, unless they were measured on this class and failed. A variant's first record says
    which precision it is meant for: an OpenVINO variant that was built for bf16 is proven, and executed, in bf16 alone.
    """
    wanted: tuple[ExecutionPrecision, ...] = ("f32",)
    if variant.runtime == "onnx":
        wanted = ("f32", "f16", "bf16")  # the graph's own types: nothing to choose
    elif variant.parity and variant.parity[0].execution_precision != "f32":
        wanted = (variant.parity[0].execution_precision,)
    elif policy.allow_bf16 and {"avx512_bf16", "amx_bf16"} & set(host.isa):
        wanted = ("bf16", "f32")
    here = [record for record in variant.parity if record.isa_class == host.isa_class]
    for precision in wanted:
        records = [record for record in here if record.execution_precision == precision]
        if any(record.verdict == "failed" for record in records):
            continue
        if not records and variant.precision_class != "int8":
            records = [
                record
                for record in variant.parity
                if record.execution_precision == precision and record.verdict == "passed"
            ]
        if records:
            return records[0]
    failed = [record for record in here if record.verdict == "failed" and record.execution_precision in wanted]
    if failed:
        return (
            f"it failed parity on {host.isa_class} in {failed[0].execution_precision}: {', '.join(failed[0].reasons)}"
        )
    proven = sorted({f"{r.isa_class} in {r.execution_precision}" for r in variant.parity if r.verdict == "passed"})
    return f"no passed parity on {host.isa_class} in {' or '.join(wanted)} (passed: {', '.join(proven) or 'nowhere'})"


def rank(candidates: list[Candidate], near: str | None, host: Host, policy: Policy) -> tuple[list[Candidate], str]:
    """The candidates, best first, and a sentence on what decided. Ties fall back to the flowchart's order."""
    chart = _flowchart(host, policy)
    place = {
        each.variant.id: (chart.index(each.variant.id) if each.variant.id in chart else len(chart), i)
        for i, each in enumerate(candidates)
    }
    if policy.objective == "size":
        ordered = sorted(candidates, key=lambda each: (each.variant.size_bytes, place[each.variant.id]))
        return ordered, "the smallest files"
    known = [each for each in candidates if each.measured is not None]
    if near is None or not known:
        ordered = sorted(candidates, key=lambda each: place[each.variant.id])
        return ordered, f"no figures from a host like {host.name}: the order of sentence-transformers' flowchart"

    def cost(each: Candidate) -> float:
        assert each.measured is not None
        figures = each.measured
        return figures.latency_ms if policy.objective == "latency" else -figures.pairs_per_second

    fast = sorted(known, key=lambda each: (cost(each), place[each.variant.id]))
    rest = sorted((each for each in candidates if each.measured is None), key=lambda each: place[each.variant.id])
    return [*fast, *rest], f"best measured {policy.objective} on {near}"


def _runtime_reasons(variant: Variant, host: Host, policy: Policy) -> list[str]:
    package = PACKAGES[variant.runtime]
    if policy.runtime is not None and variant.runtime != policy.runtime:
        return [f"it runs on {variant.runtime}, and {policy.runtime} was asked for"]
    installed = host.runtimes.get(package)
    if installed is None:
        return [f"{package} is not installed: pip install 'artificer[{variant.runtime}]'"]
    if not at_least(installed, variant.minimum_runtime_version):
        return [f"it needs {package} {variant.minimum_runtime_version} or newer, found {installed}"]
    return []


def _flowchart(host: Host, policy: Policy) -> tuple[str, ...]:
    if policy.accelerator and host.accelerators:
        return _ACCELERATED
    exact = _EXACT_INTEL if "intel" in host.cpu_model.lower() else _EXACT
    return (*_LOSSY, *exact)
