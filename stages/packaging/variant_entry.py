"""A variant as the manifest lists it: what was built, what was measured of it, and the verdict."""

import msgspec

from artificer.manifest import Fallback, Parity, Quality, Variant, tree_digest
from artificer.proving.judging import judge, thresholds_class
from stages.core import paths
from stages.core.errors import ToolchainError
from stages.core.params import BuildParams
from stages.core.variants import VariantRow
from stages.records.fallback_costs import load_costs
from stages.records.host_record import load_host
from stages.records.parity_records import VariantParity, measured_elsewhere
from stages.records.variant_record import VariantRecord, published_files


def variant_entry(
    slug: str,
    table_row: VariantRow,
    record: VariantRecord,
    found: VariantParity | None,
    qualities: tuple[Quality, ...],
    params: BuildParams,
) -> Variant:
    """The entry, `passed` where the variant was built and a parity record on the CPU in its own precision passed.

    `qualities` are those of the measurements, in their order; none where quality was not measured.

    Raises:
        ToolchainError: parity was not measured, or was measured on other bytes than were built.
    """
    published = published_files(record)
    records: tuple[Parity, ...] = ()
    status, reason, deciding = record.status, record.reason, 0
    if record.status == "built" and found is None:
        raise ToolchainError(f"{record.id} was built but not measured. Run `dvc repro parity@{slug}`.")
    if found is not None:
        if found.digest != tree_digest(published):
            raise ToolchainError(
                f"{record.id}: parity was measured on other bytes than those built. Run `dvc repro parity@{slug}`."
            )
        measurements = (*found.measurements, *measured_elsewhere(slug, load_host(), found))
        records = tuple(
            judge(
                measurement,
                params.thresholds[
                    thresholds_class(table_row.precision_class, measurement.execution_precision)
                ].by_name(),
                qualities[i] if i < len(qualities) else None,
            )
            for i, measurement in enumerate(measurements)
        )
        deciding = _deciding(table_row, records[: len(found.measurements)])
        reason = found.error or "; ".join(records[deciding].reasons) or None
    passed = status == "built" and reason is None
    return Variant(
        id=table_row.id,
        status="passed" if passed else "unsupported" if status == "unsupported" else "failed",
        reason=reason,
        runtime=table_row.backend,
        rank=table_row.rank,
        precision_class=table_row.precision_class,
        minimum_runtime_version=_minor(records[0].runtime_version) if records else "",
        opset=record.opset,
        requires_isa=table_row.requires_isa,
        graph=table_row.file if passed else None,
        files=published if passed else (),
        size_bytes=sum(entry.size for entry in record.files),
        digest=tree_digest(published) if published else None,
        recipe=record.recipe,
        tools=record.tools,
        notes=record.notes,
        parity=records,
        quality=qualities[deciding] if deciding < len(qualities) else None,
        fallback=_with_cost(slug, table_row, record.fallback),
    )


def _deciding(table_row: VariantRow, records: tuple[Parity, ...]) -> int:
    """Which record says whether the variant passes: of those on the CPU in its own precision the first that passed; the
    first of all where none did."""
    own = ("cpu", table_row.execution_precision)
    of_own = [i for i, each in enumerate(records) if (each.device, each.execution_precision) == own]
    return next((i for i in of_own if records[i].verdict == "passed"), 0)


def _with_cost(slug: str, table_row: VariantRow, found: Fallback | None) -> Fallback | None:
    """With what the kept recipe costs in speed, where one was kept and timed."""
    if found is None or found.won is None:
        return found
    costs = load_costs(paths.fallback_costs(slug, table_row.backend))
    cost = costs.variants.get(table_row.id)
    if cost is None:
        return found
    return msgspec.structs.replace(found, host=costs.host, speed_ratio=round(cost.speed_ratio, 3))


def _minor(version: str) -> str:
    """Major and minor: what a variant was proven with is the least that it asks for."""
    return ".".join(version.split(".")[:2])
