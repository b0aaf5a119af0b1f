"""Stage `pack`: judge what was measured; write what goes beside the variants: manifest, model card, plot."""

from collections.abc import Sequence

import msgspec

from artificer.manifest import (
    MANIFEST_FILE,
    SCHEMA_VERSION,
    Benchmark,
    Fallback,
    GoldenSample,
    Manifest,
    Parity,
    Quality,
    Variant,
    canonical_json,
    describe_file,
    tree_digest,
)
from artificer.tasks import task_of
from stages.core import files, paths
from stages.core.errors import ParityError, ToolchainError
from stages.core.params import BuildParams, load_params
from stages.core.variants import PLAIN_EXPORT, VariantRow, row
from stages.metrics.verdicts import judge, thresholds_class
from stages.packaging import card, plot
from stages.packaging.summary import metrics
from stages.records.benchmarks import load_benchmarks
from stages.records.fallback_costs import load_costs
from stages.records.host_record import load_host
from stages.records.model_spec import ModelSpec, load_spec
from stages.records.pairs import Pair, describe, read_pairs
from stages.records.parity_records import VariantParity, load_parity, measured_elsewhere
from stages.records.quality_report import load_quality
from stages.records.reference_outputs import load_reference
from stages.records.variant_record import VariantRecord, load_record, published_files
from stages.registry.model_list import load_entry, publish_repo

# What a published folder needs of a source: everything but the torch weights.
WEIGHT_SUFFIXES = (".safetensors", ".safetensors.index.json")


def run(slug: str) -> None:
    """Write the package folder and the metrics. Raises ParityError when the plain export fails its gate."""
    spec, params, entry = load_spec(slug), load_params(), load_entry(slug)
    parity, quality = load_parity(slug), load_quality(slug)
    variants = tuple(
        _variant(
            slug,
            row(variant_id),
            load_record(slug, variant_id),
            parity.get(variant_id),
            quality.variants.get(variant_id),
            params,
        )
        for variant_id in spec.variants
    )
    for variant in variants:
        print(f"{variant.id:24} {variant.status:11} {variant.reason or ''}")
    benchmarks = _of_these_bytes(load_benchmarks(slug), variants)
    arguments = []
    if spec.activation != spec.declared_activation:
        arguments.append(f"activation_fn={card.ACTIVATION_MODULES[spec.activation]}")
    if spec.max_length != spec.declared_max_length:
        arguments.append(f"max_length={spec.max_length}")
    name = publish_repo(slug, entry, params.publish.namespace)
    with files.staged_folder(paths.package(slug)) as folder:
        manifest = _manifest(spec, params, name, variants, benchmarks)
        plain = manifest.variant(PLAIN_EXPORT)
        if plain.status != "passed":
            raise ParityError(f"{slug}: the plain ONNX export does not compute what torch computes: {plain.reason}.")
        plot.speed_against_quality([manifest], load_host().name, folder / plot.CARD_PLOT)
        (folder / card.FILE).write_text(card.render(manifest, quality, arguments), encoding="utf-8")
        documents = tuple(describe_file(folder, path) for path in sorted((card.FILE, plot.CARD_PLOT)))
        manifest = msgspec.structs.replace(manifest, documents=documents)
        manifest.validate()
        task_of(manifest)
        (folder / MANIFEST_FILE).write_bytes(manifest.to_json())
    files.write_file(paths.metrics(slug), canonical_json(metrics(manifest, quality.reference, load_host().name)))


def _variant(
    slug: str,
    table_row: VariantRow,
    record: VariantRecord,
    found: VariantParity | None,
    quality: Quality | None,
    params: BuildParams,
) -> Variant:
    published = published_files(record)
    proofs: tuple[Parity, ...] = ()
    status, reason = record.status, record.reason
    if record.status == "built" and found is None:
        raise ToolchainError(f"{record.id} was built and not measured. Run `dvc repro parity@{slug}`.")
    if found is not None:
        if found.digest != tree_digest(published):
            raise ToolchainError(
                f"{record.id}: parity was measured on other bytes than were built. Run `dvc repro parity@{slug}`."
            )
        measurements = (*found.measurements, *measured_elsewhere(slug, load_host(), found))
        proofs = tuple(
            judge(
                measurement,
                params.thresholds[thresholds_class(table_row.precision_class, measurement)].by_name(),
                quality if i == 0 else None,
            )
            for i, measurement in enumerate(measurements)
        )
        reason = found.error or "; ".join(proofs[0].reasons) or None
    passed = status == "built" and reason is None
    return Variant(
        id=table_row.id,
        status="passed" if passed else "unsupported" if status == "unsupported" else "failed",
        reason=reason,
        runtime=table_row.backend,
        rank=table_row.rank,
        precision_class=table_row.precision_class,
        minimum_runtime_version=_minor(proofs[0].runtime_version) if proofs else "",
        opset=record.opset,
        requires_isa=table_row.requires_isa,
        graph=table_row.file if passed else None,
        files=published if passed else (),
        size_bytes=sum(entry.size for entry in record.files),
        digest=tree_digest(published) if published else None,
        recipe=record.recipe,
        tools=record.tools,
        notes=record.notes,
        parity=proofs,
        quality=quality,
        fallback=_recovery(slug, table_row, record.fallback),
    )


def _recovery(slug: str, table_row: VariantRow, found: Fallback | None) -> Fallback | None:
    """With what the kept recipe costs in speed, where one was kept and timed."""
    if found is None or found.won is None:
        return found
    costs = load_costs(paths.fallback_costs(slug, table_row.backend))
    cost = costs.variants.get(table_row.id)
    if cost is None:
        return found
    return msgspec.structs.replace(found, host=costs.host, speed_ratio=round(cost.speed_ratio, 3))


def _of_these_bytes(benchmarks: tuple[Benchmark, ...], variants: tuple[Variant, ...]) -> tuple[Benchmark, ...]:
    """Without figures that were measured on other bytes than these variants have."""
    digests = {variant.digest for variant in variants if variant.digest}
    return tuple(
        msgspec.structs.replace(b, subjects=tuple(s for s in b.subjects if s.digest is None or s.digest in digests))
        for b in benchmarks
        if any(subject.digest in digests for subject in b.subjects)
    )


def _manifest(
    spec: ModelSpec,
    params: BuildParams,
    name: str,
    variants: tuple[Variant, ...],
    benchmarks: tuple[Benchmark, ...],
) -> Manifest:
    slug = spec.slug
    reference = load_reference(slug)
    pairs = read_pairs(paths.evaluation(slug)).pairs
    return Manifest(
        schema_version=SCHEMA_VERSION,
        slug=slug,
        name=name,
        task=spec.task,
        architecture=spec.architecture,
        head=spec.head,
        max_length=spec.max_length,
        inputs=load_record(slug, PLAIN_EXPORT).inputs,
        tokenizer=spec.tokenizer,
        files=tuple(entry for entry in spec.source.files if not entry.path.endswith(WEIGHT_SUFFIXES)),
        documents=(),
        source=spec.source,
        reference=reference.made_with,
        evaluation=describe(paths.evaluation(slug), params.parity.rows),
        calibration=describe(paths.calibration(slug), params.quantize_openvino.calibration_rows),
        golden=tuple(
            GoldenSample(
                inputs={"query": pairs[i].query, "passage": pairs[i].passage}, outputs={"logits": reference.logits[i]}
            )
            for i in golden_rows(reference.logits, pairs, params.parity.golden_pairs)
        ),
        variants=variants,
        benchmarks=benchmarks,
    )


def golden_rows(logits: tuple[tuple[float, ...], ...], pairs: Sequence[Pair], count: int) -> list[int]:
    """Rows spread evenly over the range of the first logit, lowest and highest included: a self-test must see both.

    Only the shorter half of the pairs is looked at, since every load scores them.
    """
    sizes = [len(pair.query) + len(pair.passage) for pair in pairs]
    short = sorted(range(len(logits)), key=lambda i: (sizes[i], i))[: max(count, len(logits) // 2)]
    order = sorted(short, key=lambda i: (logits[i][0], i))
    count = min(count, len(order))
    return [order[round(step * (len(order) - 1) / max(1, count - 1))] for step in range(count)]


def _minor(version: str) -> str:
    """Major and minor: what a variant was proven with is the least that it asks for."""
    return ".".join(version.split(".")[:2])
