"""The executions of a package that a host offers: what is to be proven there."""

from collections.abc import Iterator

from msgspec import Struct

from artificer.backends import BACKENDS, backend_problem
from artificer.manifest import Device, ExecutionPrecision, Host, Manifest, Settings, Variant, execution_label
from artificer.manifest.isa_classes import isa_of
from artificer.selection.release_numbers import at_least


class Offered(Struct, frozen=True, kw_only=True):
    """One execution. `is_default`: the runtime chooses its precision when it is not told one. `is_workaround`: it is
    worth its time only where the same precision failed in the runtime's own way. `carries_over`: records of other
    classes prove it as well, since float32 is nearly the same on all CPUs."""

    variant: Variant
    precision: ExecutionPrecision
    device: Device
    settings: Settings
    is_default: bool
    is_workaround: bool

    @property
    def carries_over(self) -> bool:  # noqa: D102
        return self.variant.precision_class != "int8" and (self.device, self.precision) == ("cpu", "f32")

    @property
    def label(self) -> str:
        """What it is called (`manifest.execution_label`)."""
        return execution_label(self.variant.id, self.device, self.precision, self.settings)

    @property
    def bytes_key(self) -> tuple[object, ...]:
        """Equal for executions that compute the same: equal files in equal ways."""
        hashes = tuple(sorted(entry.sha256 for entry in self.variant.files))
        return hashes, self.precision, self.device, tuple(sorted(self.settings.items()))


def offered(manifest: Manifest, host: Host) -> list[Offered]:
    """Plain float32 ones first, int8 and half precisions after, workarounds behind what they replace."""
    found = [each for variant in manifest.variants for each in _of(variant, host)]
    return sorted(found, key=lambda each: not each.carries_over)


def plain(found: list[Offered]) -> list[Offered]:
    """What speeds can be compared with, best first: those in float32 of exact scores, else all."""
    own = [each for each in found if not each.is_workaround]
    exact = [each for each in own if each.carries_over and each.variant.precision_class == "fp32"]
    return exact or own


def _of(variant: Variant, host: Host) -> Iterator[Offered]:
    if variant.status != "passed" or backend_problem(variant.runtime) is not None:
        return
    backend = BACKENDS[variant.runtime]
    own: ExecutionPrecision = variant.parity[0].execution_precision if backend.takes_precision else "f32"
    offers = backend.offers(host, variant.precision_class)
    half = [offer.precision for offer in offers if offer.precision != "f32"]
    default = next(iter(half), "f32")
    for offer in sorted(offers, key=lambda offer: (offer.device != "cpu", offer.precision, offer.workaround)):
        installed = host.runtimes.get(backend.packages[offer.device].distribution)
        fits = offer.device != "cpu" or set(variant.requires_isa) <= set(isa_of(host, variant.runtime))
        old = offer.device == "cpu" and not at_least(installed or "", variant.minimum_runtime_version)
        if installed is None or not fits or old or (own != "f32" and offer.precision != own):
            continue
        yield Offered(
            variant=variant,
            precision=offer.precision,
            device=offer.device,
            settings=dict(offer.settings),
            is_default=not offer.settings and (offer.device != "cpu" or offer.precision == default),
            is_workaround=offer.workaround,
        )
