"""What the Hub documents about the metadata of a model card, as far as this Hub checks it."""

import re
from collections.abc import Iterator
from typing import Any

# https://huggingface.co/docs/hub/model-cards and .../repositories-licenses; the licenses are the common ones.
_LICENSES = {"apache-2.0", "mit", "bsd-3-clause", "cc-by-4.0", "cc-by-nc-4.0", "gpl-3.0", "llama3", "gemma", "other"}
_RELATIONS = {"adapter", "finetune", "merge", "quantized"}
_TASKS = {"text-ranking", "text-classification", "feature-extraction", "sentence-similarity", "text-generation"}
_REPO = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_RESULT = {"task": ("type",), "dataset": ("type", "name")}


def problems(card: dict[str, Any]) -> Iterator[str]:
    """Everything that is wrong, one sentence each."""
    for field, known in (("license", _LICENSES), ("base_model_relation", _RELATIONS), ("pipeline_tag", _TASKS)):
        if field in card and card[field] not in known:
            yield f'"{field}" must be one of {sorted(known)}, found {card[field]!r}'
    if card.get("license") == "other" and not card.get("license_name"):
        yield '"license_name" is required with the license "other"'
    models = card.get("base_model", [])
    for model in models if isinstance(models, list) else [models]:
        if not isinstance(model, str) or not _REPO.fullmatch(model):
            yield f'"base_model" must be the id of a model on the Hub, found {model!r}'
    tags = card.get("tags", [])
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        yield '"tags" must be a list of strings'
    yield from _index_problems(card.get("model-index", []))


def _index_problems(index: Any) -> Iterator[str]:
    if not isinstance(index, list) or not all(isinstance(model, dict) and "name" in model for model in index):
        yield '"model-index" must be a list of models with a name'
        return
    for result in (result for model in index for result in model.get("results", [])):
        for part, keys in _RESULT.items():
            if missing := [key for key in keys if not isinstance(result.get(part, {}).get(key), str)]:
                yield f'"model-index": {part} needs {", ".join(missing)}'
        for metric in result.get("metrics", [{}]):
            if not isinstance(metric.get("type"), str) or "value" not in metric:
                yield '"model-index": a metric needs type and value'
