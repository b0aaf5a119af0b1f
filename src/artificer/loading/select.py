"""Which variant to run: a pure function of the manifest, the host and the caller's policy.

Selection filters first, and keeps the reason of every rejection; then it ranks what is left. What was measured on a
host of this class decides. Without such figures the manifest's ranks do (`manifest.Rank`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from artificer.backends import BACKENDS, Backend, backend_problem
from artificer.errors import SelectionError
from artificer.host import gpu_class
from artificer.loading.release_numbers import at_least
from artificer.loading.speeds import Measured, measured, nearest
from artificer.manifest import (
    Benchmark,
    Device,
    ExecutionPrecision,
    Host,
    Manifest,
    Parity,
    Runtime,
    Variant,
    on_device,
)

Objective = Literal["latency", "throughput", "size"]
Near = Mapping[Device, Benchmark | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the caller wants and what it tolerates.

    Attributes:
        objective: `latency` ranks by the median time of the smallest batch, `throughput` by inputs per second of the
            larger batches, `size` by bytes.
        exact: only variants of the fp32 class, which return the reference's scores to float rounding.
        allow_bf16: compute in bfloat16 where that has passed parity, and the backend and the CPU offer it. A variant
            that was built for bfloat16 needs no permission: it is proven and ranked like any other.
        quality_floor: the least quality on the labelled data, as a ratio to the reference's; None trusts the verdict.
        memory_ceiling_bytes: the most resident memory, as measured by the builder, else the files' size.
        runtime: only the backend of this name.
        device: `cpu` or `cuda` alone; None takes an NVIDIA GPU where a variant is proven on it and was measured as
            the fastest there, else the CPU.
    """

    objective: Objective = "throughput"
    exact: bool = False
    allow_bf16: bool = False
    quality_floor: float | None = None
    memory_ceiling_bytes: int | None = None
    runtime: Runtime | None = None
    device: Device | None = None


@dataclass(frozen=True, slots=True)
class Execution:
    """An admissible variant: the precision and device it may compute in, and the parity record that proves it."""

    variant: Variant
    precision: ExecutionPrecision
    parity: Parity
    measured: Measured | None
    device: Device = "cpu"

    @property
    def label(self) -> str:
        """The variant's id, and the device where that is not the CPU."""
        return on_device(self.variant.id, self.device)


@dataclass(frozen=True, slots=True)
class Choice:
    """The executions, best first; why the first is first; and why each of the others is not among them."""

    executions: tuple[Execution, ...]
    basis: str
    rejected: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def best(self) -> Execution:
        """What to open."""
        return self.executions[0]


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
    near = {device: nearest(manifest.benchmarks, host, device) for device in _devices(host, policy)}
    executions: list[Execution] = []
    rejected: dict[str, tuple[str, ...]] = {}
    for each in manifest.variants:
        found = {device: admit(each, host, policy, near, device) for device in near}
        admitted = [one for one in found.values() if isinstance(one, Execution)]
        executions += admitted
        rejected |= _rejections(each.id, found)
    if variant is not None:
        asked = [each for each in executions if each.variant.id == variant]
        if not asked:
            raise SelectionError(f"{manifest.slug}: {variant} was requested, but {'; '.join(rejected[variant])}.")
        others = {each.variant.id: (f"{variant} was requested",) for each in executions if each.variant.id != variant}
        ordered, _ = rank(asked, host, policy)
        return Choice(tuple(ordered), "the caller requested it", rejected | others)
    if not executions:
        lines = "\n".join(f"  {key}: {'; '.join(reasons)}" for key, reasons in rejected.items())
        raise SelectionError(f"{manifest.slug}: no variant is admissible on {host.name}:\n{lines}")
    ordered, basis = rank(executions, host, policy)
    return Choice(tuple(ordered), basis, rejected)


def admit(
    variant: Variant, host: Host, policy: Policy, near: Near, device: Device = "cpu"
) -> Execution | tuple[str, ...]:
    """The variant's execution on that device, or every reason why there is none. `near` has the figures by device."""
    if variant.status != "passed":
        return (f"the build recorded it as {variant.status}: {variant.reason}",)
    if (problem := backend_problem(variant.runtime)) is not None:
        return (problem,)
    backend = BACKENDS[variant.runtime]
    if (problem := backend.device_problem(host, device, variant.precision_class)) is not None:
        return (problem,)
    parity = proof(variant, host, policy, device)
    reasons = [*_backend_reasons(backend, variant, host, policy, parity)]
    missing = [name for name in variant.requires_isa if name not in host.isa]
    if missing and device == "cpu":
        reasons.append(f"this CPU has no {', '.join(missing)}")
    if policy.exact and variant.precision_class != "fp32":
        reasons.append(f"its precision class is {variant.precision_class}, and exact scores were requested")
    if isinstance(parity, str):
        reasons.append(parity)
    if policy.quality_floor is not None:
        if variant.quality is None:
            reasons.append("its quality was not measured, and a floor was requested")
        elif variant.quality.ratio < policy.quality_floor:
            reasons.append(f"its quality ratio {variant.quality.ratio:.4f} is below {policy.quality_floor:.4f}")
    precision = parity.execution_precision if isinstance(parity, Parity) else "f32"
    figures = measured(near.get(device), variant, precision, device)
    if device == "cuda" and policy.device is None and not _comparable(figures, near):
        reasons.append("its speed on this GPU was not measured beside the CPU's: pass device='cuda' to use it")
    if policy.memory_ceiling_bytes is not None:
        need = figures.peak_memory_bytes if figures else variant.size_bytes
        if need > policy.memory_ceiling_bytes:
            reasons.append(f"it needs {need} bytes of memory, more than {policy.memory_ceiling_bytes}")
    if reasons or isinstance(parity, str):
        return tuple(reasons)
    return Execution(variant, precision, parity, figures, device)


def proof(variant: Variant, host: Host, policy: Policy, device: Device = "cpu") -> Parity | str:
    """The passed parity record to rely on here, or why there is none.

    The arithmetic of int8 depends on the CPU's instructions, so int8 needs a record of this very ISA class. The other
    classes carry over between CPUs, unless they were measured on this class and failed. On a GPU nothing carries over:
    a record of this very GPU is needed. A variant's first record says which precision it is meant for: a variant that
    was built for bf16 is proven, and executed, in bf16 alone.
    """
    backend = BACKENDS[variant.runtime]
    wanted: tuple[ExecutionPrecision, ...] = ("f32",)
    if not backend.takes_precision:
        wanted = ("f32", "f16", "bf16")  # the graph's own types: nothing to choose
    elif variant.parity and variant.parity[0].execution_precision != "f32":
        wanted = (variant.parity[0].execution_precision,)
    elif policy.allow_bf16 and "bf16" in backend.precisions(host):
        wanted = ("bf16", "f32")
    own_class = host.isa_class if device == "cpu" else gpu_class(host.accelerators)
    known = [record for record in variant.parity if record.device == device]
    here = [record for record in known if record.isa_class == own_class]
    for precision in wanted:
        records = [record for record in here if record.execution_precision == precision]
        if any(record.verdict == "failed" for record in records):
            continue
        if not records and variant.precision_class != "int8" and device == "cpu":
            records = [
                record for record in known if record.execution_precision == precision and record.verdict == "passed"
            ]
        if records:
            return records[0]
    failed = [record for record in here if record.verdict == "failed" and record.execution_precision in wanted]
    if failed:
        return f"it failed parity on {own_class} in {failed[0].execution_precision}: {', '.join(failed[0].reasons)}"
    proven = sorted({f"{r.isa_class} in {r.execution_precision}" for r in known if r.verdict == "passed"})
    return f"no passed parity on {own_class} in {' or '.join(wanted)} (passed: {', '.join(proven) or 'nowhere'})"


def rank(executions: list[Execution], host: Host, policy: Policy) -> tuple[list[Execution], str]:
    """The executions, best first, and a sentence on what decided. Ties go by the manifest's ranks, then its order."""

    def place(each: Execution) -> int:
        return _rank(each.variant, host, policy)

    if policy.objective == "size":
        ordered = sorted(executions, key=lambda each: (each.variant.size_bytes, place(each)))
        return ordered, "the smallest files"
    known = [each for each in executions if each.measured is not None]
    if not known:
        ordered = sorted(executions, key=place)
        basis = "the manifest's ranks, which follow sentence-transformers' flowchart"
        return ordered, f"no figures from a host like {host.name}: {basis}"

    def cost(each: Execution) -> float:
        assert each.measured is not None
        figures = each.measured
        return figures.latency_ms if policy.objective == "latency" else -figures.inputs_per_second

    fast = sorted(known, key=lambda each: (cost(each), place(each)))
    rest = sorted((each for each in executions if each.measured is None), key=place)
    assert fast[0].measured is not None
    return [*fast, *rest], f"best measured {policy.objective} on {fast[0].measured.host}"


def _rejections(variant_id: str, found: Mapping[Device, Execution | tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """The reasons under the variant's id; the GPU's under a name of their own where the CPU was tried as well."""
    reasons = {device: one for device, one in found.items() if isinstance(one, tuple)}
    if len(reasons) == len(found):
        first, *others = reasons.values()
        return {variant_id: first} | {on_device(variant_id, "cuda"): one for one in others if one != first}
    # It runs on one of them: that the CPU is not that one needs no line.
    return {on_device(variant_id, device): one for device, one in reasons.items() if device != "cpu"}


def _devices(host: Host, policy: Policy) -> tuple[Device, ...]:
    if policy.device is not None:
        return (policy.device,)
    return ("cpu", "cuda") if host.accelerators else ("cpu",)


def _comparable(figures: Measured | None, near: Near) -> bool:
    """Whether the GPU's figures can be held against the CPU's: speeds of one preset are of the same texts."""
    cpu, cuda = near.get("cpu"), near.get("cuda")
    return figures is not None and cuda is not None and (cpu is None or cpu.preset == cuda.preset)


def _backend_reasons(backend: Backend, variant: Variant, host: Host, policy: Policy, parity: Parity | str) -> list[str]:
    if policy.runtime not in (None, variant.runtime):
        return [f"it runs on {variant.runtime}, and {policy.runtime} was requested"]
    package, minimum = backend.packages["cpu"], variant.minimum_runtime_version
    if isinstance(parity, Parity) and parity.device != "cpu":
        # A package for GPUs is released later than the one for CPUs: the version that proved it there is what counts.
        package, minimum = backend.packages[parity.device], ".".join(parity.runtime_version.split(".")[:2])
    installed = host.runtimes.get(package.distribution)
    if installed is None:
        return [f"{package.distribution} is not installed: {package.remedy}"]
    if not at_least(installed, minimum):
        return [f"it needs {package.distribution} {minimum} or newer, found {installed}"]
    return []


def _rank(variant: Variant, host: Host, policy: Policy) -> int:
    """The variant's place where no speeds are known; lower goes first."""
    if policy.device == "cuda":
        return variant.rank.cuda
    return variant.rank.intel if "intel" in host.cpu_model.lower() else variant.rank.cpu
