"""Ratios to sentence-transformers' CrossEncoder: same file, same threads, interleaved, a process for each side.

    python -m benchmarks.peers PUBLISHED_FOLDER SENTENCE_PAIRS.jsonl [--rounds 7] [--rows bulk single unseen long]

Prints a Markdown table. A ratio is the median over the rounds of (peer's seconds / ours), so above 1 we are faster. The
scores' largest difference stands beside it; a row of an fp32 file with more than 1e-5 does not count, and says so.
OpenVINO computes in f32 on both sides (its own default is bf16 on some CPUs, which gives other scores).

Each side has a process of its own, so that neither is slowed by the other's worker threads; they compute in turn. Every
round has other texts, as a service's requests have. Single pairs come one straight after the other, 30 or 50 before it
is the other side's turn; `unseen` are pairs of lengths that neither side has seen.
"""

import argparse
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from artificer import Manifest, host
from benchmarks.texts import growing_pairs, long_set, short_pairs
from benchmarks.turns import Side, serve, timed_calls

Pairs = list[tuple[str, str]]
BULK, SINGLE = 240, 30  # pairs of a round


def slices(path: Path, turn: int, size: int) -> Pairs:
    """The `turn`th `size` pairs of the file, from its start again after its end."""
    pairs = short_pairs(path)
    return [pairs[(turn * size + i) % len(pairs)] for i in range(size)]


SETS: dict[str, Callable[[Path, int], Pairs]] = {
    "bulk": lambda path, turn: slices(path, turn, BULK),
    "single": lambda path, turn: slices(path, turn, SINGLE),
    "unseen": lambda *_: growing_pairs(),
    "long": lambda _, turn: long_set(turn),
}
ONE_BY_ONE = ("single", "unseen")
LABELS = {
    "bulk": "pairs/s, short",
    "single": "one pair p50, short",
    "unseen": "one pair p50, lengths never seen",
    "long": "1 x 100 of 20-500 tokens",
}


def ours(folder: Path, variant: str, threads: int) -> Callable[[Any], Any]:
    """Our `predict`."""
    import artificer

    predict: Callable[[Any], Any] = artificer.load(folder, variant=variant, threads=threads, warm=True).predict
    return predict


def peer(folder: Path, variant: str, threads: int) -> Callable[[Any], Any]:
    """CrossEncoder's `predict` on the variant's file, with our number of threads and OpenVINO in f32."""
    import logging
    import warnings

    import torch
    from sentence_transformers import CrossEncoder

    logging.getLogger("sentence_transformers").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    torch.set_num_threads(threads)
    found = Manifest.from_json((folder / "manifest.json").read_bytes()).variant(variant)
    options: dict[str, Any] = {"file_name": found.graph}
    if found.runtime == "onnx":
        import onnxruntime

        options["session_options"] = onnxruntime.SessionOptions()
        options["session_options"].intra_op_num_threads = threads
    else:
        options["ov_config"] = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
    model = CrossEncoder(str(folder), backend=found.runtime, model_kwargs=options)
    return lambda pairs: model.predict(pairs, show_progress_bar=False)


SIDES = {"ours": ours, "peer": peer}


def be(side: str, folder: Path, variant: str, threads: int, path: Path) -> None:
    """Serve one side: a row and a turn get the median seconds of a call, and the scores."""
    predict = SIDES[side](folder, variant, threads)

    def answer(request: tuple[str, int]) -> tuple[float, list[float]]:
        name, turn = request
        pairs = SETS[name](path, turn)
        calls = [[pair] for pair in pairs] if name in ONE_BY_ONE else [pairs]
        seconds, scores = timed_calls(predict, calls)
        return statistics.median(seconds), [score for row in scores for score in row]

    serve(answer)


def started(side: str, given: argparse.Namespace, variant: str) -> Side:
    """A process that serves one side."""
    command = [sys.executable, "-m", "benchmarks.peers", str(given.folder), str(given.pairs)]
    return Side([*command, "--side", side, "--variants", variant, "--threads", str(given.threads)])


def measure(row: str, mine: Side, other: Side, rounds: int) -> tuple[list[float], float, float]:
    """Ratios per round, our median seconds, and the largest difference of the scores."""
    ratios: list[float] = []
    taken: list[float] = []
    gap = 0.0
    turns = [0] if row == "unseen" else range(rounds + 1)
    for turn in turns:
        answers = {side: side.ask((row, turn)) for side in ((mine, other) if turn % 2 else (other, mine))}
        (a, our_scores), (b, peer_scores) = answers[mine], answers[other]
        gap = max(gap, float(np.abs(np.subtract(our_scores, peer_scores)).max()))
        if turn or row == "unseen":  # the first turn warms up
            ratios.append(b / a)
            taken.append(a)
    return ratios, statistics.median(taken), gap


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
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--rows", nargs="*", default=list(SETS), choices=list(SETS))
    parser.add_argument("--variants", nargs="*")
    parser.add_argument("--threads", type=int, default=host.thread_count()[0])
    parser.add_argument("--side", choices=list(SIDES), help="serve one side on standard input (used by this script)")
    given = parser.parse_args()
    if given.side:
        be(given.side, given.folder, given.variants[0], given.threads, given.pairs)
        return
    int8 = int8_of_this_cpu()
    variants = {
        "bulk": ("onnx", int8, "openvino", "openvino-qint8"),
        "single": ("onnx", int8, "openvino-qint8"),
        "unseen": ("openvino-qint8",),
        "long": ("onnx", int8, "openvino-qint8"),
    }
    manifest = Manifest.from_json((given.folder / "manifest.json").read_bytes())
    print(f"Host {host.detect().name}, {given.threads} threads, {given.rounds} rounds.\n")
    print("| what | variant | ratio (median) | min - max over rounds | ours | largest score difference | counts |")
    print("|---|---|---|---|---|---|---|", flush=True)
    for row in given.rows:
        for variant in variants[row]:
            if given.variants and variant not in given.variants:
                continue
            with started("ours", given, variant) as mine, started("peer", given, variant) as other:
                ratios, seconds, gap = measure(row, mine, other, given.rounds)
            fp32 = manifest.variant(variant).precision_class == "fp32"
            counts = "int8" if not fp32 else "yes" if gap <= 1e-5 else "NO"
            middle, low, high = statistics.median(ratios), min(ratios), max(ratios)
            print(f"| {LABELS[row]} | {variant} | {middle:.2f}x | {low:.2f} - {high:.2f} | {1000 * seconds:.2f} ms"
                  f" | {gap:.1e} | {counts} |", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
