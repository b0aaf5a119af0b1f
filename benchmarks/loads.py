"""Whether every published variant loads elsewhere, unchanged, with the same logits.

    python benchmarks/loads.py PUBLISHED_FOLDER [--variants onnx …]

For each passed variant, a process each: our runtime, the runtime's own Python package, and sentence-transformers'
CrossEncoder score the manifest's golden pairs one by one. Prints the largest difference of a logit from ours: logits
differences that saturated scores hide.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

import artificer
from artificer import Manifest

SIDES = ("ours", "runtime", "sentence-transformers")


def ours(folder: Path, variant: Any, pairs: list[tuple[str, str]]) -> Any:
    """Logits by `artificer.load`."""
    with artificer.load(folder, variant=variant.id, threads=2) as reranker:
        return [np.ravel(reranker.predict(pair, activation_fn="identity")).tolist() for pair in pairs]


def runtime(folder: Path, variant: Any, pairs: list[tuple[str, str]]) -> Any:
    """Logits by onnxruntime or OpenVINO alone, with the published tokenizer."""
    from tokenizers import Tokenizer

    manifest = Manifest.from_json((folder / "manifest.json").read_bytes())
    tokenizer = Tokenizer.from_file(str(folder / manifest.tokenizer.file))
    tokenizer.no_padding()
    tokenizer.enable_truncation(manifest.max_length)
    graph = str(folder / variant.graph)
    if variant.runtime == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    else:
        import openvino

        options = {"INFERENCE_PRECISION_HINT": "f32"}
        model = openvino.Core().compile_model(graph, "CPU", options)
    found = []
    for pair in pairs:
        encoding = tokenizer.encode(*pair)
        named = {
            "input_ids": encoding.ids,
            "attention_mask": encoding.attention_mask,
            "token_type_ids": encoding.type_ids,
        }
        batch = {name: np.array([named[name]], dtype=np.int64) for name in manifest.inputs}
        row = session.run(["logits"], batch)[0] if variant.runtime == "onnx" else model(batch)[model.output(0)]
        found.append(np.ravel(row).tolist())
    return found


def sentence_transformers(folder: Path, variant: Any, pairs: list[tuple[str, str]]) -> Any:
    """Logits by CrossEncoder, which is told nothing but the file's name."""
    from sentence_transformers import CrossEncoder
    from torch.nn import Identity

    options: dict[str, Any] = {"file_name": variant.graph}
    if variant.runtime == "openvino":
        options["ov_config"] = {"INFERENCE_PRECISION_HINT": "f32"}
    model = CrossEncoder(str(folder), backend=variant.runtime, model_kwargs=options)
    return [np.ravel(model.predict([pair], activation_fn=Identity())).tolist() for pair in pairs]


SCORERS = dict(zip(SIDES, (ours, runtime, sentence_transformers), strict=True))


def main() -> None:
    """A row per variant."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--variants", nargs="*")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    given = parser.parse_args()
    manifest = Manifest.from_json((given.folder / "manifest.json").read_bytes())
    pairs = [(each.inputs["query"], each.inputs["passage"]) for each in manifest.golden]
    if given.side:
        (name,) = given.variants
        print(json.dumps(SCORERS[given.side](given.folder, manifest.variant(name), pairs)))
        return
    print("| variant | runtime alone | sentence-transformers |\n|---|---:|---:|")
    for variant in manifest.variants:
        if variant.status == "passed" and (not given.variants or variant.id in given.variants):
            found = [logits(given.folder, variant.id, side) for side in SIDES]
            print(
                f"| {variant.id} | " + " | ".join(difference(found[0], other) for other in found[1:]) + " |", flush=True
            )


def logits(folder: Path, variant: str, side: str) -> Any:
    """One side's logits, from a process of its own; or the last line of what went wrong."""
    command = [sys.executable, __file__, str(folder), "--variants", variant, "--side", side]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
    return json.loads(lines[-1]) if done.returncode == 0 else (lines or [f"exit {done.returncode}"])[-1]


def difference(mine: Any, other: Any) -> str:
    """The largest difference, or why there is none."""
    for side in (mine, other):
        if isinstance(side, str):
            return side[:120]
    return f"{np.abs(np.array(mine) - np.array(other)).max():.1e}"


if __name__ == "__main__":
    main()
