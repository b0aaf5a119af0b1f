"""A trained BERT cross-encoder, made wider: it computes the same, and takes the time and memory of a larger model.

    python -m benchmarks.widen CHECKPOINT OUT [--times 3] [--vocabulary 160000]

Random weights show what a size costs, but bf16 fails parity with them, and no label says what int8 is worth. This
repeats every feature, head and neuron `--times` over (Net2WiderNet, https://arxiv.org/abs/1511.05641): a weight matrix
becomes a grid of copies of itself, divided by the number of columns of the grid, so that each copy of a feature gets
what the feature got. LayerNorm sees each value equally often, so its mean and variance stay. Rows that no token uses
fill the vocabulary. A 22.7 M MiniLM of 6 layers becomes 282 M, of which 96 M are in the layers; a base model of 12
layers has 85 M there.
"""

import argparse
import json
import shutil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

WIDENED = ("hidden_size", "intermediate_size", "num_attention_heads")
WEIGHTS = "model.safetensors"


def widened(name: str, weight: NDArray[np.float32], times: int) -> NDArray[np.float32]:
    """A tensor for features that are repeated."""
    if weight.ndim == 1:  # of LayerNorm, or a bias
        return weight if name == "classifier.bias" else np.tile(weight, times)
    if "embeddings" in name:
        return np.tile(weight, (1, times))
    rows = 1 if name == "classifier.weight" else times
    return np.tile(weight / times, (rows, times))


def main() -> None:
    """Write the wider checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--vocabulary", type=int, default=160_000)
    given = parser.parse_args()
    given.out.mkdir(parents=True)
    for path in given.checkpoint.iterdir():
        if path.is_file() and path.name != WEIGHTS:
            shutil.copyfile(path, given.out / path.name)
    found = {
        name: np.ascontiguousarray(widened(name, weight.astype(np.float32), given.times))
        for name, weight in load_file(given.checkpoint / WEIGHTS).items()
    }
    words = found["bert.embeddings.word_embeddings.weight"]
    unused = np.zeros((given.vocabulary - len(words), words.shape[1]), dtype=np.float32)
    found["bert.embeddings.word_embeddings.weight"] = np.concatenate([words, unused])
    save_file(found, given.out / WEIGHTS, metadata={"format": "pt"})
    config = json.loads((given.out / "config.json").read_text(encoding="utf-8"))
    config |= {name: config[name] * given.times for name in WIDENED} | {"vocab_size": given.vocabulary}
    (given.out / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    print(f"{sum(weight.size for weight in found.values()) / 1e6:.0f} M parameters in {given.out}")


if __name__ == "__main__":
    main()
