"""A model of several parts, described to sentence-transformers as what its graphs are: one classifier.

The graphs return scores, and the torch weights are not published. With the source's own files, sentence-transformers
would take a graph for the encoder alone, and look for the parts after it.
"""

import json
from pathlib import Path
from typing import Any

from stages.records.model_spec import ModelSpec

_MODULES, _SETTINGS, _CONFIG = "modules.json", "sentence_bert_config.json", "config.json"
_CLASSIFIER = {
    "transformer_task": "sequence-classification",
    "modality_config": {"text": {"method": "forward", "method_output_name": "logits"}},
    "module_output_name": "scores",
}
_REASON = "the graphs hold all modules of the checkpoint, so it is described as one classifier"


def describe_as_classifier(spec: ModelSpec, folder: Path) -> dict[str, str]:
    """Rewrite the files in `folder` that describe the parts; the reason for each, by its name. None where there is one
    part."""
    modules = _read(folder / _MODULES, [])
    if len(modules) < 2:
        return {}
    from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES as CLASSIFIERS

    _write(folder / _MODULES, modules[:1])
    _write(folder / _SETTINGS, _read(folder / _SETTINGS, {}) | _CLASSIFIER)
    labels = {str(i): name for i, name in enumerate(spec.labels)}
    config = _read(folder / _CONFIG, {})
    config |= {"id2label": labels, "label2id": {name: int(i) for i, name in labels.items()}}
    if (name := CLASSIFIERS.get(spec.model_type)) is not None:  # which says that `id2label` are its scores
        config["architectures"] = [name]
    config.pop("num_labels", None)
    _write(folder / _CONFIG, config)
    return dict.fromkeys((_MODULES, _SETTINGS, _CONFIG), _REASON)


def _read(path: Path, default: Any) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else default


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
