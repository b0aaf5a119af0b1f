"""In which ways a backend runs a graph on a host: what is proven, timed and chosen from."""

from collections.abc import Iterable, Mapping

from msgspec import Struct, field

from artificer.manifest import Device, ExecutionPrecision


class Offer(Struct, frozen=True, kw_only=True):
    """A device, a precision, and settings of the runtime beside its own way (`manifest.Settings`).

    A `workaround` is worth its time only where the same precision failed in the runtime's own way.
    """

    device: Device = "cpu"
    precision: ExecutionPrecision = "f32"
    settings: Mapping[str, str] = field(default_factory=dict)
    workaround: bool = False


def unknown_settings(settings: Mapping[str, str], known: Iterable[Mapping[str, str]]) -> bool:
    """Whether a backend must not be given these settings: they are neither empty nor among those that it knows."""
    return bool(settings) and dict(settings) not in [dict(each) for each in known]
