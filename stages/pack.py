"""Stage `pack`: judge what was measured; write what goes beside the variants: manifest, model card, plot."""

import msgspec

from artificer.manifest import MANIFEST_FILE, canonical_json, describe_file
from artificer.tasks.task import task_of
from stages.core import files, paths
from stages.core.errors import ParityError
from stages.core.params import load_params
from stages.core.variants import PLAIN_EXPORT, row
from stages.packaging import card, plot
from stages.packaging.judged_on import judged_on
from stages.packaging.manifest_document import manifest_document
from stages.packaging.proof_file import with_proof_set
from stages.packaging.summary import metrics
from stages.packaging.variant_entry import variant_entry
from stages.records.host_record import load_host
from stages.records.model_spec import ModelSpec, load_spec
from stages.records.parity_records import load_parity
from stages.records.quality_report import load_quality
from stages.records.variant_record import load_record
from stages.registry.model_list import load_entry, publish_repo


def run(slug: str) -> None:
    """Write the package folder and the metrics. Raises ParityError when the plain export fails its thresholds."""
    spec, params, entry = load_spec(slug), load_params(), load_entry(slug)
    parity, quality = load_parity(slug), load_quality(slug)
    variants = tuple(
        variant_entry(
            slug,
            row(variant_id),
            load_record(slug, variant_id),
            parity.get(variant_id),
            quality.executions.get(variant_id, ()),
            params,
        )
        for variant_id in spec.variants
    )
    for variant in variants:
        print(f"{variant.id:24} {variant.status:11} {variant.reason or ''}")
    name = publish_repo(slug, entry, params.publish.namespace)
    with files.staged_folder(paths.package(slug)) as folder:
        manifest = manifest_document(spec, params, name, variants)
        plain = manifest.variant(PLAIN_EXPORT)
        if plain.status != "passed":
            raise ParityError(f"{slug}: the plain ONNX export does not compute what torch computes: {plain.reason}.")
        plot.speed_against_quality([manifest], load_host().name, folder / plot.CARD_PLOT)
        (folder / card.FILE).write_text(
            card.render(manifest, quality, judged_on(manifest), _peer_arguments(spec), params.publish.install),
            encoding="utf-8",
        )
        documents = tuple(describe_file(folder, path) for path in sorted((card.FILE, plot.CARD_PLOT)))
        manifest = with_proof_set(msgspec.structs.replace(manifest, documents=documents), params, folder)
        manifest.validate()
        task_of(manifest)
        (folder / MANIFEST_FILE).write_bytes(manifest.to_json())
        found = canonical_json(metrics(manifest, quality.reference, load_host().name))
        (folder / paths.PACKED_METRICS).write_bytes(found)
    files.write_file(paths.metrics(slug), found)


def _peer_arguments(spec: ModelSpec) -> list[str]:
    """What sentence-transformers needs beside the published files to give the same scores."""
    arguments = []
    if spec.activation != spec.declared_activation:
        arguments.append(f"activation_fn={card.ACTIVATION_MODULES[spec.activation]}")
    if spec.max_length != spec.declared_max_length:
        arguments.append(f"max_length={spec.max_length}")
    return arguments
