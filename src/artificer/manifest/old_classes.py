"""Classes of CPUs in manifests before schema 2.1, which said `avx512_vnni` of machines with AMX too.

int8 and half precisions need a record of the very class, so that a record that may be of another one must not count.
The hosts of a manifest's benchmarks list their instruction sets: where these say what a class was, it is renamed. Where
they do not, its records are of a class that no machine has.
"""

import msgspec

from artificer.manifest.isa_classes import AMBIGUOUS, isa_class
from artificer.manifest.structs import Benchmark, Parity, Variant

_UNKNOWN = "{} of a release before 2.1"

Parts = tuple[tuple[Variant, ...], tuple[Benchmark, ...]]


def with_todays_classes(variants: tuple[Variant, ...], benchmarks: tuple[Benchmark, ...]) -> Parts:
    """The same variants and benchmarks, with the classes of today."""
    meanings: dict[str, set[str]] = {}
    for each in benchmarks:
        today = isa_class(each.host.isa, each.host.architecture)
        meanings.setdefault(each.host.isa_class, set()).add(today)

    def renamed(record: Parity) -> Parity:
        known = meanings.get(record.isa_class, set())
        if record.device != "cpu" or record.isa_class not in AMBIGUOUS:
            return record
        today = next(iter(known)) if len(known) == 1 else _UNKNOWN.format(record.isa_class)
        return msgspec.structs.replace(record, isa_class=today)

    return (
        tuple(msgspec.structs.replace(each, parity=tuple(map(renamed, each.parity))) for each in variants),
        tuple(
            msgspec.structs.replace(
                each,
                host=msgspec.structs.replace(each.host, isa_class=isa_class(each.host.isa, each.host.architecture)),
            )
            for each in benchmarks
        ),
    )
