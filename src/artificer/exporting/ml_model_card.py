"""The model card of an ML-BOM (`modelCard` of CycloneDX): what the model computes, on what data, and how well."""

from collections.abc import Iterator, Sequence
from typing import Any

from artificer.manifest import Manifest, Metrics


def model_card(manifest: Manifest, data_refs: Sequence[str]) -> dict[str, Any]:
    """The object. `data_refs` are the references of the data sets, components of the same document."""
    metrics = list(_metrics(manifest))
    return {
        "modelParameters": {
            "task": manifest.task,
            "modelArchitecture": manifest.architecture,
            "datasets": [{"ref": ref} for ref in data_refs],
            "inputs": [{"format": f"int64 {name} [batch, tokens]"} for name in manifest.inputs],
            "outputs": [{"format": f"float32 [batch, {manifest.head.size}]; {manifest.head.result}"}],
        },
        **({"quantitativeAnalysis": {"performanceMetrics": metrics}} if metrics else {}),
        "considerations": {
            "technicalLimitations": [f"Texts are cut at {manifest.max_length} tokens."],
        },
    }


def _metrics(manifest: Manifest) -> Iterator[dict[str, str]]:
    """Quality of each published variant on the evaluation set."""
    for variant in manifest.variants:
        if variant.status == "passed" and variant.quality is not None:
            yield from _entries(variant.quality.metrics, variant.id)
            yield {"type": "ratio to the source model", "value": _text(variant.quality.ratio), "slice": variant.id}


def _entries(metrics: Metrics, variant: str) -> Iterator[dict[str, str]]:
    for name, value in sorted(metrics.items()):
        if value is not None:
            yield {"type": name, "value": _text(value), "slice": variant}


def _text(value: float) -> str:
    return f"{value:.6g}"
