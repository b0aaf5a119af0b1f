"""What share of this machine's peak executions reach: useful arithmetic a second, against a large product.

    python -m benchmarks.peak PUBLISHED_FOLDER PAIRS.jsonl [--rounds 7] [--executions "onnx in f32" …]

Peak is measured, not looked up: the fastest of many products of two 2048 x 2048 matrices on as many threads as the
model has, in the execution's own type: float32 by onnxruntime, bfloat16 and int8 (with int32 sums) by torch. Useful
arithmetic is counted on real tokens only, padding excluded: two operations for each weight of a matrix product and
token, and for attention four times length times width for each token and layer, which int8 graphs compute in float32
or bfloat16. Tokenising is part of the model's time. Rounds take turns; the shares' median is printed.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper

import artificer
from artificer import host
from artificer.manifest import MANIFEST_FILE, Manifest
from benchmarks.texts import long_set, short_pairs


def weights_per_token(graph: Path) -> int:
    """Elements of the weights that every token is multiplied with."""
    model = onnx.load(str(graph)).graph
    sizes = {tensor.name: int(np.prod(tensor.dims)) for tensor in model.initializer if len(tensor.dims) == 2}
    return sum(sizes.get(name, 0) for node in model.node if node.op_type == "MatMul" for name in node.input)


def peak(kind: str, threads: int, seconds: float = 1.0) -> float:
    """Operations per second of a matrix product."""
    torch.set_num_threads(threads)
    matrix: Any = 100 * torch.rand(2048, 2048, generator=torch.Generator().manual_seed(0))
    product: Callable[[Any, Any], Any]
    if kind == "f32":
        matrix, product = matrix.numpy(), onnx_product(threads)
    elif kind == "bf16":
        matrix, product = matrix.bfloat16(), torch.matmul
    else:
        matrix, product = matrix.to(torch.int8), torch._int_mm
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        product(matrix, matrix)
        best = min(best, time.perf_counter() - start)
    return 2 * 2048**3 / best


def onnx_product(threads: int) -> Callable[[Any, Any], Any]:
    """onnxruntime's product of two matrices: on this class of CPU faster than numpy's and torch's."""
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2048, 2048]) for name in ("a", "b", "c")]
    graph = helper.make_graph([helper.make_node("MatMul", ["a", "b"], ["c"])], "product", ends[:2], ends[2:])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda a, b: session.run(None, {"a": a, "b": b})


def main() -> None:
    """Print one line per execution and set of texts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--executions", nargs="+", default=["onnx in f32"])
    given = parser.parse_args()
    threads, _ = host.thread_count()
    config = json.loads((given.folder / "config.json").read_bytes())
    layers, width = config["num_hidden_layers"], config["hidden_size"]
    manifest = Manifest.from_json((given.folder / MANIFEST_FILE).read_bytes())
    per_token = 2 * weights_per_token(given.folder / str(manifest.variant("onnx").graph))
    print(
        f"{threads} threads\n\n| execution | texts | useful GFLOP/s | peak GFLOP/s | share |\n|---|---|---:|---:|---:|"
    )
    for label in given.executions:
        with artificer.load(given.folder, variant=label, accuracy="any", threads=threads, warm=True) as model:
            variant = manifest.variant(model.explain().variant)
            kind = "int8" if variant.precision_class == "int8" else model.explain().execution_precision
            for name, pairs in (("short", short_pairs(given.pairs)[:240]), ("1 x 100 of 20-500 tokens", long_set())):
                lengths = model._tokenizer.encode(pairs).lengths.astype(np.float64)
                useful = float((lengths * (per_token + 4 * lengths * width * layers)).sum())
                rates, peaks = [], []
                for _ in range(given.rounds + 1):
                    peaks.append(peak(kind, threads))
                    start = time.perf_counter()
                    model.predict(pairs)
                    rates.append(useful / (time.perf_counter() - start))
                share = statistics.median(rate / top for rate, top in zip(rates[1:], peaks[1:], strict=True))
                rate, top = statistics.median(rates[1:]) / 1e9, statistics.median(peaks[1:]) / 1e9
                print(f"| {label} | {name} | {rate:.0f} | {top:.0f} ({kind}) | {100 * share:.0f} % |", flush=True)


if __name__ == "__main__":
    main()
