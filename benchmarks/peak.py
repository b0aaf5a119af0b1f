"""What share of this machine's peak the fp32 graph reaches: useful arithmetic a second, against a large product.

    python -m benchmarks.peak PUBLISHED_FOLDER PAIRS.jsonl [--rounds 7]

Peak is measured, not looked up: the fastest of many products of two 2048 x 2048 float32 matrices, by numpy's BLAS on as
many threads as the model has. Useful arithmetic is counted on real tokens only, padding excluded: two operations for
each weight of a matrix product and token, and for attention four times length times width for each token and layer.
Tokenising is part of the model's time. Rounds take turns; the shares' median is printed.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import numpy as np
import onnx
from threadpoolctl import threadpool_limits

import artificer
from artificer import host
from benchmarks.texts import long_set, short_pairs


def weights_per_token(graph: Path) -> int:
    """Elements of the weights that every token is multiplied with."""
    model = onnx.load(str(graph)).graph
    sizes = {tensor.name: int(np.prod(tensor.dims)) for tensor in model.initializer if len(tensor.dims) == 2}
    return sum(sizes.get(name, 0) for node in model.node if node.op_type == "MatMul" for name in node.input)


def peak(seconds: float = 1.0) -> float:
    """Operations per second of a matrix product."""
    matrix = np.random.default_rng(0).random((2048, 2048), dtype=np.float32)
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        matrix @ matrix
        best = min(best, time.perf_counter() - start)
    return 2 * 2048**3 / best


def main() -> None:
    """Print one line per set of texts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    threads, _ = host.thread_count()
    config = json.loads((given.folder / "config.json").read_bytes())
    layers, width = config["num_hidden_layers"], config["hidden_size"]
    reranker = artificer.load(given.folder, variant="onnx", threads=threads)
    graph = reranker.manifest.variant("onnx").graph
    assert graph is not None
    per_token = 2 * weights_per_token(given.folder / graph)
    print(f"{threads} threads\n\n| texts | useful GFLOP/s | peak GFLOP/s | share |\n|---|---:|---:|---:|")
    for name, pairs in (("short", short_pairs(given.pairs)[:240]), ("1 x 100 of 20-500 tokens", long_set())):
        lengths = reranker._tokenizer.encode(pairs).lengths.astype(np.float64)
        useful = float((lengths * (per_token + 4 * lengths * width * layers)).sum())
        rates, peaks = [], []
        for _ in range(given.rounds + 1):
            with threadpool_limits(threads):
                peaks.append(peak())
            start = time.perf_counter()
            reranker.predict(pairs)
            rates.append(useful / (time.perf_counter() - start))
        share = statistics.median(rate / top for rate, top in zip(rates[1:], peaks[1:], strict=True))
        rate, top = statistics.median(rates[1:]), statistics.median(peaks[1:])
        print(f"| {name} | {rate / 1e9:.0f} | {top / 1e9:.0f} | {100 * share:.0f} % |", flush=True)


if __name__ == "__main__":
    main()
