"""Which executions of a variant may run on a machine, and why the others may not: a pure function of manifest, host and
policy.

An execution is a variant on a device, in a precision, with settings of its runtime. It is admissible if its own parity
record passed, the backend offers it here, and the caller's policy allows it.
"""

from collections.abc import Mapping, Sequence

from msgspec import Struct, field

from artificer.backends import BACKENDS, Backend, backend_problem
from artificer.backends.offers import Offer, unknown_settings
from artificer.host import gpu_class
from artificer.manifest import (
    Benchmark,
    Device,
    ExecutionPrecision,
    Host,
    Parity,
    Settings,
    Variant,
    execution_label,
    full_label,
    on_device,
    said,
)
from artificer.manifest.isa_classes import class_of, isa_of
from artificer.selection.policy import Policy, accuracy_problem, movement_problem
from artificer.selection.release_numbers import at_least
from artificer.selection.speeds import Measured, measured

Near = Mapping[Device, Benchmark | None]
"""The figures of the nearest host, by device."""
Reasons = tuple[str, ...]


class Execution(Struct, frozen=True):
    """An admissible execution: a variant, the precision and device that it computes in, and the parity record that
    proves it."""

    variant: Variant
    precision: ExecutionPrecision
    parity: Parity
    measured: Measured | None
    device: Device = "cpu"

    @property
    def settings(self) -> Settings:
        """What the runtime is told beside the precision."""
        return self.parity.settings

    @property
    def label(self) -> str:
        """The variant's id, and what is not usual (`manifest.execution_label`)."""
        return execution_label(self.variant.id, self.device, self.precision, self.settings)

    @property
    def full_label(self) -> str:
        """The label with the precision in any case: a name for this execution alone."""
        return full_label(self.variant.id, self.device, self.precision, self.settings)

    def is_named(self, name: str) -> bool:
        """Whether `name` is the variant's id, or a label of this execution."""
        return name in (self.variant.id, self.label, self.full_label)


class Admitted(Struct):
    """The executions of one variant, and why others are not among them, by label."""

    executions: list[Execution] = field(default_factory=list)
    rejected: dict[str, Reasons] = field(default_factory=dict)


class _Candidate(Struct, frozen=True):
    """Parity records of one execution, none for one that was not measured, and the backend's offer to run it here.

    `is_own`: it is what the variant was built for.
    """

    precision: ExecutionPrecision
    settings: Settings
    records: list[Parity]
    offer: Offer | None
    is_own: bool


def admit(variant: Variant, host: Host, policy: Policy, near: Near) -> Admitted:
    """The variant's executions on the devices of `near`."""
    if variant.status != "passed":
        return Admitted(rejected={variant.id: (f"the build recorded it as {variant.status}: {variant.reason}",)})
    if (problem := backend_problem(variant.runtime)) is not None:
        return Admitted(rejected={variant.id: (problem,)})
    found = {device: _on_device(variant, host, policy, near, device) for device in near}
    executions = [each for one in found.values() for each in one.executions]
    rejected: dict[str, Reasons] = {}
    for device, one in found.items():
        if device == "cpu" and executions and not one.executions:
            continue  # it runs on a GPU: that the CPU is not that one needs no line
        said_before = () if executions else tuple(rejected.values())
        rejected |= {label: reasons for label, reasons in one.rejected.items() if reasons not in said_before}
    if not executions and "cpu" not in found:  # asked for a GPU alone: the reasons need not say where
        rejected = {label.removesuffix(on_device("", "cuda")): reasons for label, reasons in rejected.items()}
    return Admitted(executions, rejected)


def _on_device(variant: Variant, host: Host, policy: Policy, near: Near, device: Device) -> Admitted:
    backend, name = BACKENDS[variant.runtime], on_device(variant.id, device)
    if (problem := backend.device_problem(host, device, variant.precision_class)) is not None:
        return Admitted(rejected={name: (problem,)})
    candidates = _candidates(variant, backend, host, device)
    shared = _variant_reasons(backend, variant, host, policy, device)
    if shared:
        return Admitted(rejected={name: shared})
    found = Admitted()
    for each in candidates:
        label = execution_label(variant.id, device, each.precision, each.settings) if len(candidates) > 1 else name
        parity = _proof(variant, each, backend, host, device)
        record = parity if isinstance(parity, Parity) else None
        reasons = [] if record else [str(parity)]
        reasons += _execution_reasons(backend, variant, host, policy, device, each, record)
        figures = measured(near.get(device), variant, each.precision, device, each.settings)
        reasons += _figure_reasons(variant, policy, near, device, figures)
        if record is None or reasons:
            found.rejected[label] = tuple(reasons)
        else:
            found.executions.append(Execution(variant, each.precision, record, figures, device))
    return found


def _candidates(variant: Variant, backend: Backend, host: Host, device: Device) -> list[_Candidate]:
    """What the manifest has records of on this device, the variant's own execution first.

    A variant's first record says which precision it is meant for: one that was built for bf16 is run in bf16 alone.
    """
    offers = backend.offers(host, variant.precision_class)
    own: ExecutionPrecision = variant.parity[0].execution_precision if variant.parity else "f32"
    keys: list[tuple[ExecutionPrecision, Settings]] = [(own, {})]
    keys += [(each.execution_precision, each.settings) for each in variant.parity if each.device == device]
    if not backend.takes_precision:  # the graph's own types: nothing to choose
        keys = [("f32", settings) for _, settings in keys]
    found: list[_Candidate] = []
    for precision, settings in [key for i, key in enumerate(keys) if key not in keys[:i]]:
        records = [
            each
            for each in variant.parity
            if (each.device, each.settings) == (device, settings)
            and (each.execution_precision == precision or not backend.takes_precision)
        ]
        fitting = (o for o in offers if (o.device, o.precision, o.settings) == (device, precision, settings))
        found.append(_Candidate(precision, settings, records, next(fitting, None), not found))
    return found


def _proof(variant: Variant, each: _Candidate, backend: Backend, host: Host, device: Device) -> Parity | str:
    """The passed parity record to rely on here, or why there is none.

    The arithmetic of int8 and of half precisions depends on the CPU's instructions, so that they need a record of this
    very ISA class. float32 carries over between CPUs, unless it was measured on this class and failed. On a GPU nothing
    carries over: a record of this very GPU is needed.
    """
    own_class = class_of(host, variant.runtime) if device == "cpu" else gpu_class(host.accelerators)
    here = [record for record in each.records if record.isa_class == own_class]
    passed = [record for record in each.records if record.verdict == "passed"]
    failed = [record for record in here if record.verdict == "failed"]
    what = "f32 or f16 or bf16" if not backend.takes_precision else ", ".join([each.precision, *said(each.settings)])
    if failed:
        return f"it failed parity on {own_class} in {failed[0].execution_precision}: {', '.join(failed[0].reasons)}"
    carries_over = device == "cpu" and variant.precision_class != "int8" and each.precision == "f32"
    usable = [record for record in here if record.verdict == "passed"] or (passed if carries_over else [])
    if usable:
        return usable[0]
    on_other = sorted({f"{r.isa_class} in {r.execution_precision}" for r in passed})
    return f"no passed parity on {own_class} in {what} (passed: {', '.join(on_other) or 'nowhere'})"


def _variant_reasons(backend: Backend, variant: Variant, host: Host, policy: Policy, device: Device) -> Reasons:
    """What keeps every execution of the variant from this device."""
    if policy.runtime not in (None, variant.runtime):
        return (f"it runs on {variant.runtime}, and {policy.runtime} was requested",)
    reasons = []
    missing = [name for name in variant.requires_isa if name not in isa_of(host, variant.runtime)]
    if missing and device == "cpu":
        reasons.append(f"this CPU has no {', '.join(missing)}")
    package = backend.packages[device]
    installed = host.runtimes.get(package.distribution)
    if installed is None:
        reasons.append(f"{package.distribution} is not installed: {package.remedy}")
    elif device == "cpu" and not at_least(installed, variant.minimum_runtime_version):
        least = variant.minimum_runtime_version
        reasons.append(f"it needs {package.distribution} {least} or newer, found {installed}")
    if policy.quality_floor is not None:
        if variant.quality is None:
            reasons.append("its quality was not measured, and a floor was requested")
        elif variant.quality.ratio < policy.quality_floor:
            reasons.append(f"its quality ratio {variant.quality.ratio:.4f} is below {policy.quality_floor:.4f}")
    return tuple(reasons)


def _execution_reasons(
    backend: Backend,
    variant: Variant,
    host: Host,
    policy: Policy,
    device: Device,
    each: _Candidate,
    record: Parity | None,
) -> list[str]:
    """What keeps this execution from this machine, beside its proof."""
    reasons = []
    if unknown_settings(each.settings, backend.settings):
        unknown = ", ".join(said(each.settings))
        reasons.append(f"this release does not know the settings {unknown}: a newer one may")
    elif each.offer is None:
        reasons.append(f"{backend.name} does not offer {each.precision} on this machine")
    if record is not None and device != "cpu":
        # A package for GPUs is released later than the one for CPUs: the version that proved it there is what counts.
        package, least = backend.packages[device], ".".join(record.runtime_version.split(".")[:2])
        installed = host.runtimes.get(package.distribution, "none")
        if not at_least(installed, least):
            reasons.append(f"it needs {package.distribution} {least} or newer, found {installed}")
    if (problem := accuracy_problem(policy.accuracy, variant, each.precision, record, is_own=each.is_own)) is not None:
        reasons.append(problem)
    if policy.batch_invariant and record is not None and (problem := movement_problem(record)) is not None:
        reasons.append(problem)
    return reasons


def _figure_reasons(
    variant: Variant, policy: Policy, near: Near, device: Device, figures: Measured | None
) -> Sequence[str]:
    reasons = []
    if device == "cuda" and policy.device is None and not _comparable(figures, near):
        reasons.append("its speed on this GPU was not measured beside the CPU's: pass device='cuda' to use it")
    if policy.memory_ceiling_bytes is not None:
        need = figures.peak_memory_bytes if figures else variant.size_bytes
        if need > policy.memory_ceiling_bytes:
            reasons.append(f"it needs {need} bytes of memory, more than {policy.memory_ceiling_bytes}")
    return reasons


def _comparable(figures: Measured | None, near: Near) -> bool:
    """Whether the GPU's figures can be held against the CPU's: speeds of one preset are of the same texts."""
    cpu, cuda = near.get("cpu"), near.get("cuda")
    return figures is not None and cuda is not None and (cpu is None or cpu.preset == cuda.preset)
