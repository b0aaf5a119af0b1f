"""Tiny checkpoints with random weights, written as `save_pretrained` writes trained ones."""

import json
from pathlib import Path
from typing import Any

from tests.stages.project import DEMO

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
SIGMOID = "torch.nn.modules.activation.Sigmoid"


def tiny_bert(folder: Path, *, seed: int = 1, labels: int = 1, dtype: str = "float32", **config: Any) -> Path:
    """A BERT of two layers, 32 wide, whose logits spread over the demo pairs; the same bytes for the same arguments."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    folder.mkdir(parents=True)
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join(_words()) + "\n", encoding="utf-8")
    tokenizer = BertTokenizerFast(vocab_file=str(vocabulary), model_max_length=128)  # type: ignore[no-untyped-call]
    tokenizer.save_pretrained(folder)
    settings: dict[str, Any] = {
        "vocab_size": len(_words()),
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "max_position_embeddings": 128,
        "num_labels": labels,
        "initializer_range": 0.2,
        **config,
    }
    if labels == 1:
        settings.setdefault("sentence_transformers", {"activation_fn": SIGMOID})
    torch.manual_seed(seed)
    model = BertForSequenceClassification(BertConfig(**settings))  # type: ignore[no-untyped-call]
    model.to(getattr(torch, dtype)).save_pretrained(folder, safe_serialization=True)
    return folder


def add_outliers(folder: Path, factor: float, channels: int, *, of: str = "values") -> Path:
    """Make the first channels of every attention `factor` times larger, and what they meet so much smaller.

    `of="values"`: what the output's weights read; `of="queries"`: what the keys are multiplied with. torch's logits
    stay what they were, up to float rounding. int8 with one scale a tensor loses the other channels.
    """
    from safetensors.torch import load_file, save_file

    path = folder / "model.safetensors"
    weights = load_file(path)
    for name, weight in weights.items():
        if {"values": ".attention.self.value.", "queries": ".attention.self.query."}[of] in name:
            weight[:channels] *= factor
        elif of == "values" and name.endswith(".attention.output.dense.weight"):
            weight[:, :channels] /= factor
        elif of == "queries" and ".attention.self.key." in name:
            weight[:channels] /= factor
    save_file(weights, path, metadata={"format": "pt"})
    return folder


def edit_config(folder: Path, name: str = "config.json", **changes: Any) -> None:
    """Change keys of a JSON file of a checkpoint; None removes one."""
    path = folder / name
    config = json.loads(path.read_text(encoding="utf-8"))
    for key, value in changes.items():
        if value is None:
            config.pop(key, None)
        else:
            config[key] = value
    path.write_text(json.dumps(config), encoding="utf-8")


def _words() -> list[str]:
    """Special tokens, single characters as beginnings and continuations, and words of the demo's vocabulary."""
    demo = (DEMO / "reranker" / "vocab.txt").read_text(encoding="utf-8").split("\n")
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    words = [word for word in demo if word.isalpha() and len(word) > 3]
    return [*SPECIAL, *letters, *(f"##{letter}" for letter in letters), ".", ",", "?", *words[:400]]
