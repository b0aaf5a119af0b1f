"""Stage `parity`: every execution of every built variant against the reference. It measures; `pack` judges.

int8 scores depend on the instruction set, so figures accumulate over host classes in registry/parity/, in git.
"""

import msgspec

from stages.core import paths
from stages.core.child_process import ChildKilledError, in_child
from stages.core.errors import ResourceError
from stages.core.variants import row
from stages.measuring.variant_parity import measure_variant
from stages.records.host_record import current_host
from stages.records.model_spec import load_spec
from stages.records.parity_records import VariantParity, write_parity
from stages.records.variant_record import digest, load_record


def run(slug: str) -> None:
    """Write parity.json, and this host's parity record. Equal graphs are measured once."""
    spec, host = load_spec(slug), current_host()
    measured: dict[str, VariantParity] = {}
    for variant_id in spec.variants:
        record = load_record(slug, variant_id)
        if record.status != "built":
            continue
        alias = measured.get(record.alias_of or "")
        if alias is not None:
            measured[variant_id] = msgspec.structs.replace(alias, id=variant_id, digest=digest(record))
            print(f"{variant_id:24} the same graph as {alias.id}", flush=True)
            continue
        graph = paths.variant(slug, row(variant_id)) / row(variant_id).file_name
        try:
            measured[variant_id] = in_child(measure_variant, slug, variant_id, weights=graph)
        except ChildKilledError as problem:
            # This says nothing about the variant: it may run on a machine with more memory, or with less other load.
            raise ResourceError(
                f"parity of {slug}: {variant_id}: {problem}. Stop other programs, or run it on a larger machine."
            ) from None
    write_parity(slug, host, list(measured.values()))
