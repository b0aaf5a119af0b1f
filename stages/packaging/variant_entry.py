"""A variant as the manifest lists it: what was built, what was measured of it, and the verdict."""

import msgspec

from artificer.manifest import Fallback, Parity, Quality, Variant, tree_digest
from stages.core import paths
from stages.core.errors import ToolchainError
from stages.core.params import BuildParams
from stages.core.variants import VariantRow
from stages.metrics.verdicts import judge, thresholds_class
from stages.records.fallback_costs import load_costs
from stages.records.host_record import load_host
from stages.records.parity_records import VariantParity, measured_elsewhere
from stages.records.variant_record import VariantRecord, published_files


def variant_entry(
    slug: str,
    table_row: VariantRow,
    record: VariantRecord,
    found: VariantParity | None,
    quality: Quality | None,
    params: BuildParams,
) -> Variant:
    """The entry, `passed` where the variant was built and its first parity record passed.

    Raises:
        ToolchainError: parity was not measured, or was measured on other bytes than were built.
    """
    published = published_files(record)
    records: tuple[Parity, ...] = ()
    status, reason = record.status, record.reason
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
                params.thresholds[thresholds_class(table_row.precision_class, measurement)].by_name(),
                quality if i == 0 else None,
            )
            for i, measurement in enumerate(measurements)
        )
        reason = found.error or "; ".join(records[0].reasons) or None
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
        quality=quality,
        fallback=_with_cost(slug, table_row, record.fallback),
    )


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
