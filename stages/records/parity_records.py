"""Parity records: how far each variant is from the reference, on this host (parity.json) and on others, in git."""

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from artificer.manifest import Device, ExecutionPrecision, Host, Metrics, canonical_json
from stages.core import files, paths
from stages.records.measured_files import load_measured


class Measurement(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A variant at one execution precision on one device. `default_precision` says that the runtime chooses this
    precision when it is not told one. On `cuda`, `isa_class` is the GPU's class."""

    runtime_version: str
    isa_class: str
    execution_precision: ExecutionPrecision
    default_precision: bool
    metrics: Metrics
    device: Device = "cpu"


class VariantParity(Struct, frozen=True, kw_only=True):
    """What was measured of one variant. The first measurement is at the variant's own precision on the CPU, and decides
    whether it passes; `error` says why there is none. `logits` belong to the first measurement."""

    id: str
    digest: str
    error: str | None
    measurements: tuple[Measurement, ...]
    logits: tuple[tuple[float, ...], ...]


def write_parity(slug: str, host: Host, results: Sequence[VariantParity]) -> None:
    """Replace parity.json, and this host's record in git, which has no logits."""
    without_logits = [msgspec.structs.replace(result, logits=()) for result in results]
    files.write_file(paths.parity_records(slug) / f"{host.name}.json", canonical_json(without_logits))
    files.write_file(paths.parity(slug), canonical_json(list(results)))


def load_parity(slug: str) -> dict[str, VariantParity]:
    """What stage `parity` wrote, by variant id."""
    found = msgspec.json.decode(paths.parity(slug).read_bytes(), type=list[VariantParity])
    return {variant.id: variant for variant in found}


def measured_elsewhere(slug: str, here: Host, found_here: VariantParity) -> tuple[Measurement, ...]:
    """What other hosts measured of the same bytes on classes of CPU and GPU that this host did not measure: one host
    per class, in order of their names. Raises RegistryError for a malformed file."""
    known = {("cpu", here.isa_class), *((each.device, each.isa_class) for each in found_here.measurements)}
    found: dict[tuple[str, str], Measurement] = {}
    for path in sorted(paths.parity_records(slug).glob("*.json")):
        for result in load_measured(path, list[VariantParity]):
            if path.stem != here.name and (result.id, result.digest) == (found_here.id, found_here.digest):
                for measurement in result.measurements:
                    if (measurement.device, measurement.isa_class) not in known:
                        found.setdefault((measurement.isa_class, measurement.execution_precision), measurement)
    return tuple(found.values())
