"""The manifest of a model, put together from the records of its stages."""

import msgspec

from artificer.manifest import SCHEMA_VERSION, Benchmark, GoldenSample, Manifest, Variant
from artificer.tasks.task import TASKS
from stages.core import paths
from stages.core.errors import DataError
from stages.core.params import BuildParams
from stages.core.variants import PLAIN_EXPORT
from stages.records.benchmarks import load_benchmarks
from stages.records.golden_rows import golden_rows
from stages.records.model_spec import ModelSpec
from stages.records.pairs import describe, read_pairs
from stages.records.published_files import load_published
from stages.records.reference_outputs import load_reference
from stages.records.variant_record import load_record
from stages.tasks import pairs_problem


def manifest_document(spec: ModelSpec, params: BuildParams, name: str, variants: tuple[Variant, ...]) -> Manifest:
    """The manifest, without documents: the card is written from it."""
    slug = spec.slug
    reference, published = load_reference(slug), load_published(slug)
    pairs = read_pairs(paths.evaluation(slug)).pairs
    task = TASKS[spec.task]
    if problem := pairs_problem(spec.task, task.sample_inputs):
        raise DataError(f"{slug}: {problem}.")
    return Manifest(
        schema_version=SCHEMA_VERSION,
        slug=slug,
        name=name,
        task=spec.task,
        architecture=spec.architecture,
        head=spec.head,
        max_length=spec.max_length,
        inputs=load_record(slug, PLAIN_EXPORT).inputs,
        tokenizer=published.tokenizer,
        files=published.files,
        rewritten=published.rewritten,
        documents=(),
        source=spec.source,
        reference=reference.made_with,
        evaluation=describe(paths.evaluation(slug), params.parity.rows),
        calibration=describe(paths.calibration(slug), params.calibration.rows),
        golden=tuple(
            GoldenSample(
                inputs=dict(zip(task.sample_inputs, (pairs[i].query, pairs[i].passage), strict=True)),
                outputs={task.output: reference.logits[i]},
            )
            for i in golden_rows(reference.logits, pairs, params.parity.golden_pairs)
        ),
        variants=variants,
        benchmarks=_of_these_bytes(load_benchmarks(slug), variants),
    )


def _of_these_bytes(benchmarks: tuple[Benchmark, ...], variants: tuple[Variant, ...]) -> tuple[Benchmark, ...]:
    """Without figures that were measured on other bytes than these variants have."""
    digests = {variant.digest for variant in variants if variant.digest}
    return tuple(
        msgspec.structs.replace(b, subjects=tuple(s for s in b.subjects if s.digest is None or s.digest in digests))
        for b in benchmarks
        if any(subject.digest in digests for subject in b.subjects)
    )
