"""Which execution to run: a pure function of the manifest, the host and the caller's policy.

Selection filters first (`admission`), and keeps the reason of every rejection; then it ranks what is left. What was
measured on a host of this class decides. Without such figures the manifest's ranks do (`manifest.Rank`).
"""

from msgspec import Struct, field
from msgspec.structs import replace

from artificer.errors import SelectionError
from artificer.manifest import Device, Host, Manifest, Variant
from artificer.selection.admission import Execution, Reasons, admit
from artificer.selection.policy import DEFAULT_POLICY, Policy
from artificer.selection.speeds import nearest


class Choice(Struct, frozen=True):
    """The executions, best first; why the first is first; and why each of the others is not among them.

    `rejected` has the reasons by label: the variant's id, and what tells its execution from the usual one.
    """

    executions: tuple[Execution, ...]
    basis: str
    rejected: dict[str, Reasons] = field(default_factory=dict)

    @property
    def best(self) -> Execution:
        """What to open."""
        return self.executions[0]


def select(manifest: Manifest, host: Host, policy: Policy = DEFAULT_POLICY, variant: str | None = None) -> Choice:
    """Choose among the executions of the manifest's variants.

    Args:
        variant: the only one that may be chosen: an id, or the label of one execution, such as `openvino in bf16` or
            `openvino in f32`. It must be admissible all the same, though not under `near`: to name a variant is to
            tolerate its accuracy.

    Raises:
        SelectionError: nothing is admissible, or `variant` is not; each reason is listed.
    """
    if variant is not None:
        return _requested(manifest, host, policy, variant)
    executions, rejected = _admitted(manifest, host, policy)
    if not executions:
        lines = "\n".join(f"  {key}: {'; '.join(reasons)}" for key, reasons in rejected.items())
        raise SelectionError(f"{manifest.slug}: no variant is admissible on {host.name}:\n{lines}")
    ordered, basis = rank(executions, host, policy)
    return Choice(tuple(ordered), basis, rejected)


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

    # Figures of texts that come again are too good beside those of new lengths.
    has_requests = all(each.measured is not None and each.measured.request is not None for each in known)

    def cost(each: Execution) -> float:
        assert each.measured is not None
        figures = each.measured
        if policy.objective != "latency":
            return -figures.inputs_per_second
        return figures.request.p50_ms if has_requests and figures.request is not None else figures.latency_ms

    fast = sorted(known, key=lambda each: (cost(each), place(each)))
    rest = sorted((each for each in executions if each.measured is None), key=place)
    assert fast[0].measured is not None
    return [*fast, *rest], f"best measured {policy.objective} on {fast[0].measured.host}"


def _requested(manifest: Manifest, host: Host, policy: Policy, name: str) -> Choice:
    """Only executions of that name: those that the policy admits, else what was built and passed."""
    if not any(name == each.id or name.startswith((f"{each.id} in ", f"{each.id} on ")) for each in manifest.variants):
        known = ", ".join(each.id for each in manifest.variants)
        raise SelectionError(f"{manifest.slug} has no variant {name!r}; it has: {known}.")
    executions, rejected = _admitted(manifest, host, policy)
    asked = [each for each in executions if each.is_named(name)]
    if not asked and policy.accuracy == "near":
        executions, rejected = _admitted(manifest, host, replace(policy, accuracy="any"))
        asked = [each for each in executions if each.is_named(name)]
    if not asked:
        own = [f"{'; '.join(rejected[key])}" for key in rejected if key == name]
        own += [f"{key}: {'; '.join(rejected[key])}" for key in rejected if key != name and _is_of(key, name)]
        raise SelectionError(f"{manifest.slug}: {name} was requested, but {'; '.join(own) or 'it was not measured'}.")
    others = {each.label: (f"{name} was requested",) for each in executions if not each.is_named(name)}
    ordered, _ = rank(asked, host, policy)
    return Choice(tuple(ordered), "the caller requested it", rejected | others)


def _is_of(label: str, variant_id: str) -> bool:
    return label.startswith((f"{variant_id} in ", f"{variant_id} on "))


def _admitted(manifest: Manifest, host: Host, policy: Policy) -> tuple[list[Execution], dict[str, Reasons]]:
    near = {device: nearest(manifest.benchmarks, host, device) for device in _devices(host, policy)}
    executions: list[Execution] = []
    rejected: dict[str, Reasons] = {}
    for variant in manifest.variants:
        found = admit(variant, host, policy, near)
        executions += found.executions
        rejected |= found.rejected
    return executions, rejected


def _devices(host: Host, policy: Policy) -> tuple[Device, ...]:
    if policy.device is not None:
        return (policy.device,)
    return ("cpu", "cuda") if host.accelerators else ("cpu",)


def _rank(variant: Variant, host: Host, policy: Policy) -> int:
    """The variant's place where no speeds are known; lower goes first."""
    if policy.device == "cuda":
        return variant.rank.cuda
    return variant.rank.intel if "intel" in host.cpu_model.lower() else variant.rank.cpu
