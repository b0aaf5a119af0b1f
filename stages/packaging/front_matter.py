"""The head of a model card: what the Hub shows, filters and ranks a model by. YAML between two lines of dashes."""

from collections.abc import Iterator
from typing import Any

import yaml

from artificer.manifest import Manifest, Metrics, Variant
from stages.packaging.summary import lines
from stages.records.quality_report import QualityReport
from stages.registry.licenses import license_fields

_LIBRARY = "sentence-transformers"  # the Hub's list of libraries has no artificer; this one opens the same files
_DIGITS = 6


def front_matter(manifest: Manifest, quality: QualityReport) -> str:
    """The YAML, without the dashes. The same manifest gives the same bytes."""
    fields: dict[str, Any] = {
        **license_fields(manifest.source.license),
        "library_name": _LIBRARY,
        "pipeline_tag": manifest.task,
    }
    if manifest.source.kind == "hub":  # the Hub links to nothing else
        fields |= {"base_model": manifest.source.location, "base_model_relation": "quantized"}
    fields["tags"] = _tags(manifest)
    metrics = [*_quality(manifest, quality), *_closeness(manifest)]
    if metrics:
        fields["model-index"] = [{"name": manifest.name, "results": [_result(manifest, metrics)]}]
    return yaml.safe_dump(fields, sort_keys=False, allow_unicode=True, width=120).strip()


def _tags(manifest: Manifest) -> list[str]:
    """What the Hub's filters know: the task, and the runtimes and precisions of what passed."""
    passed = passed_variants(manifest)
    tags = ["artificer", "cross-encoder"]
    if manifest.task == "text-ranking":
        tags.append("reranker")
    tags += [manifest.task, *sorted({variant.runtime for variant in passed})]
    if any(variant.precision_class == "int8" for variant in passed):
        tags.append("int8")
    return tags


def passed_variants(manifest: Manifest) -> list[Variant]:
    """The variants that are published."""
    return [variant for variant in manifest.variants if variant.status == "passed"]


def _result(manifest: Manifest, metrics: list[dict[str, Any]]) -> dict[str, Any]:
    data = manifest.evaluation
    dataset: dict[str, Any] = {"type": data.dataset or data.name, "name": data.name}
    if data.revision is not None:
        dataset["revision"] = data.revision
    return {
        "task": {"type": manifest.task},
        "dataset": {**dataset, "args": {"rows": data.rows, "sha256": data.sha256}},
        "metrics": metrics,
    }


def _quality(manifest: Manifest, quality: QualityReport) -> Iterator[dict[str, Any]]:
    """On labelled data: the source model's figures, then those of every published variant."""
    if quality.reference is None:
        return
    yield from _entries(quality.reference.metrics, "source model, torch float32")
    for variant in passed_variants(manifest):
        if (found := quality.variants.get(variant.id)) is not None:
            yield from _entries(found.metrics, variant.id)


def _entries(metrics: Metrics, subject: str) -> Iterator[dict[str, Any]]:
    for name, value in metrics.items():
        if value is not None:
            # The Hub writes ndcg@10 for what a metric's key in a file calls ndcg_at_10.
            label = name.replace("_at_", "@")
            yield {"type": label, "value": round(value, _DIGITS), "name": f"{label} ({subject})"}


def _closeness(manifest: Manifest) -> Iterator[dict[str, Any]]:
    """How alike the source model and each published variant order the evaluation pairs."""
    for line in lines(manifest, None):
        if line.status == "passed" and line.spearman is not None:
            yield {
                "type": "spearmanr",
                "value": round(line.spearman, _DIGITS),
                "name": f"Spearman's rho with the source model ({line.id})",
            }
