"""Parity records: how far each variant is from the reference, on this host (parity.json) and on others, in git."""

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from artificer.manifest import Host, Runtime, canonical_json
from artificer.manifest.isa_classes import AMBIGUOUS, class_of
from artificer.manifest.metric_names import LENGTH_METRIC
from artificer.proving.measurement import Measurement
from stages.core import files, paths
from stages.core.variants import row
from stages.records.benchmarks import host_of_figures
from stages.records.measured_files import load_measured


class VariantParity(Struct, frozen=True, kw_only=True):
    """What was measured of one variant. The first measurements are at the variant's own precision on the CPU: it passes
    where one of them does; `error` says why there is none. `logits` are those of each measurement."""

    id: str
    digest: str
    error: str | None
    measurements: tuple[Measurement, ...]
    logits: tuple[tuple[tuple[float, ...], ...], ...]


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
    per class and execution, in order of their names. Measurements without lengths are from before these were asked, and
    prove nothing; nor do those whose class is not known (`_todays_class`). Raises RegistryError for a malformed
    file."""
    runtime = row(found_here.id).backend
    known = {("cpu", class_of(here, runtime)), *((each.device, each.isa_class) for each in found_here.measurements)}
    found: dict[tuple[str, str], Measurement] = {}
    for path in sorted(paths.parity_records(slug).glob("*.json")):
        there = host_of_figures(slug, path.stem)
        for result in load_measured(path, list[VariantParity]):
            if path.stem != here.name and (result.id, result.digest) == (found_here.id, found_here.digest):
                for raw in result.measurements:
                    measurement = _todays_class(raw, there, runtime)
                    if measurement is None:
                        continue
                    is_known = (measurement.device, measurement.isa_class) in known
                    if not is_known and LENGTH_METRIC in measurement.metrics:
                        found.setdefault((measurement.isa_class, measurement.label(result.id)), measurement)
    return tuple(found.values())


def _todays_class(measurement: Measurement, there: Host | None, runtime: Runtime) -> Measurement | None:
    """With the class of today, from the instruction sets of the host that measured; None where these are not known and
    the class was split since. Releases before manifest schema 2.1 called machines with AMX `avx512_vnni`."""
    if measurement.device != "cpu":
        return measurement
    if there is None:
        return None if measurement.isa_class in AMBIGUOUS else measurement
    return msgspec.structs.replace(measurement, isa_class=class_of(there, runtime))
