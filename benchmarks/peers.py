"""Ratios to sentence-transformers' CrossEncoder: same file, same threads, interleaved rounds, one process.

    python benchmarks/peers.py PUBLISHED_FOLDER SENTENCE_PAIRS.jsonl [--rounds 5] [--rows bulk single unseen long]

Prints a Markdown table. A ratio is the median over the rounds of (peer's seconds / ours), so above 1 we are faster. The
scores' largest difference stands beside it; a row of an fp32 file with more than 1e-5 does not count, and says so.
OpenVINO computes in f32 on both sides (its own default is bf16 on some CPUs, which gives other scores).
"""

import argparse
import logging
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from texts import growing_pairs, long_set, short_pairs

import artificer
from artificer import host

PAUSE = 0.04  # seconds: let the other side's spinning threads go to sleep


def peer(folder: Path, variant: str, threads: int) -> Any:
    """CrossEncoder on the variant's file, with our number of threads and OpenVINO in f32."""
    import torch
    from sentence_transformers import CrossEncoder

    torch.set_num_threads(threads)
    found = artificer.Manifest.from_json((folder / "manifest.json").read_bytes()).variant(variant)
    options: dict[str, Any] = {"file_name": found.graph}
    if found.runtime == "onnx":
        import onnxruntime

        options["session_options"] = onnxruntime.SessionOptions()
        options["session_options"].intra_op_num_threads = threads
    else:
        options["ov_config"] = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
    return CrossEncoder(str(folder), backend=found.runtime, model_kwargs=options)


def seconds(action: Callable[[], Any]) -> float:
    """Of one call."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def bulk(ours: Any, theirs: Any, pairs: list[tuple[str, str]], rounds: int) -> tuple[list[float], list[float]]:
    """Seconds for all pairs, per round, after one warm-up each."""
    mine: list[float] = []
    other: list[float] = []
    for _ in range(rounds + 1):
        mine.append(seconds(lambda: ours.predict(pairs)))
        time.sleep(PAUSE)
        other.append(seconds(lambda: theirs.predict(pairs, show_progress_bar=False)))
        time.sleep(PAUSE)
    return mine[1:], other[1:]


def single(ours: Any, theirs: Any, pairs: list[tuple[str, str]], rounds: int) -> tuple[list[float], list[float]]:
    """Median seconds of one pair, per round; within a round the sides alternate pair by pair."""
    mine: list[float] = []
    other: list[float] = []
    for _ in range(rounds):
        one: list[float] = []
        two: list[float] = []
        for pair in pairs:
            one.append(seconds(lambda p=pair: ours.predict(p)))
            time.sleep(PAUSE)
            two.append(seconds(lambda p=pair: theirs.predict(p, show_progress_bar=False)))
            time.sleep(PAUSE)
        mine.append(statistics.median(one))
        other.append(statistics.median(two))
    return mine, other


def int8_of_this_cpu() -> str:
    """The ONNX int8 variant that is made for this machine's instructions."""
    isa = host.detect().isa
    names = {"avx512_vnni": "onnx-qint8-avx512_vnni", "avx512": "onnx-qint8-avx512", "avx2": "onnx-quint8-avx2"}
    return next((name for key, name in names.items() if key in isa), "onnx-qint8-arm64")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", nargs="*", default=["bulk", "single", "unseen", "long"])
    parser.add_argument("--variants", nargs="*")
    given = parser.parse_args()
    logging.getLogger("sentence_transformers").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    threads, source = host.thread_count()
    short, int8 = short_pairs(given.pairs), int8_of_this_cpu()
    rows: dict[str, tuple[str, list[tuple[str, str]], Any, tuple[str, ...], int]] = {
        "bulk": ("pairs/s, short", short, bulk, ("onnx", int8, "openvino", "openvino-qint8"), given.rounds),
        "single": ("one pair p50, short", short[:30], single, ("onnx", int8, "openvino-qint8"), given.rounds),
        "unseen": ("one pair p50, lengths never seen", growing_pairs(), single, ("openvino-qint8",), 1),
        "long": ("1 x 100 of 20-500 tokens", long_set(), bulk, ("onnx", int8, "openvino-qint8"), given.rounds),
    }
    print(f"Host {host.detect().name}, {threads} threads ({source}), {given.rounds} rounds.\n")
    print("| what | variant | ratio (median) | min - max over rounds | largest score difference | counts |")
    print("|---|---|---|---|---|---|", flush=True)
    for row in given.rows:
        name, pairs, how, variants, rounds = rows[row]
        for variant in variants:
            if given.variants and variant not in given.variants:
                continue
            ours = artificer.load(given.folder, variant=variant, threads=threads, warm=True)
            theirs = peer(given.folder, variant, threads)
            mine, other = how(ours, theirs, pairs, rounds)
            ratios = [b / a for a, b in zip(mine, other, strict=True)]
            gap = float(np.abs(ours.predict(pairs) - theirs.predict(pairs, show_progress_bar=False)).max())
            fp32 = ours.manifest.variant(variant).precision_class == "fp32"
            counts = "int8" if not fp32 else "yes" if gap <= 1e-5 else "NO"
            print(f"| {name} | {variant} | {statistics.median(ratios):.2f}x | {min(ratios):.2f} - {max(ratios):.2f}"
                  f" | {gap:.1e} | {counts} |", flush=True)  # fmt: skip
            ours.close()


if __name__ == "__main__":
    main()
