"""Ways to int8 on onnxruntime: quality, movement with the batch, and speed, interleaved.

    python benchmarks/static_int8.py SLUG [--rounds 7] [--pairs 240]

Run at the repository's root, for a model that `quantize_onnx` has run for. Beside the variants it builds: other shares
of smoothing, onnxruntime's own static quantiser (MatMul only; one scale or per channel; min-max, percentile and entropy
ranges; with and without rounded results) and MatMulNBits (8 bits, blocks of 32, accuracy level 4).

Differences are of scores, from `reference.json`; `moves` is the largest difference between a score alone and in a batch
of mixed lengths; `gold` is Spearman with the labels.
"""

import argparse
import logging
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from artificer.backends import open_session
from artificer.inference import scoring
from artificer.inference.tokenization import Text
from artificer.proving.outputs import outputs
from artificer.proving.reference_answers import Expected
from stages.building.calibration import calibration_rows
from stages.core import paths
from stages.core.params import load_params
from stages.core.variants import row
from stages.measuring.expected import load_expected
from stages.measuring.measure import measure
from stages.records.model_spec import load_spec
from stages.records.open_tokenizer import open_tokenizer
from stages.records.pairs import read_pairs
from stages.records.variant_record import load_record
from stages.toolchain.onnx import calibrated_int8

THREADS = 2


def rivals(parent: Path, texts: list[dict[str, Any]], scratch: Path) -> Iterator[tuple[str, Path]]:
    """Each graph, built, with its name."""
    (scratch / "ranges").mkdir()
    ranges = calibrated_int8.channel_ranges(parent, texts, scratch / "ranges")
    for alpha in (calibrated_int8.NO_SMOOTHING, 0.5, 0.65, 0.8, 0.9):
        target = scratch / f"smooth{alpha}" / "model.onnx"
        target.parent.mkdir()
        settings = replace(calibrated_int8.StaticSettings(), smooth_quant_alpha=alpha)
        calibrated_int8.quantise(parent, settings, ranges, {}, target)
        yield f"ours, smoothing {'none' if alpha < 0 else alpha}", target
    target = scratch / "nbits.onnx"
    _nbits(parent, target)
    yield "MatMulNBits 8 bits, blocks of 32", target
    for name, method, per_channel, float_results in (
        ("QDQ min-max, per tensor", "MinMax", False, False),
        ("QDQ min-max, per channel", "MinMax", True, False),
        ("QDQ percentile 99.999, per channel", "Percentile", True, False),
        ("QDQ entropy, per channel", "Entropy", True, False),
        ("QDQ min-max, per channel, float results", "MinMax", True, True),
    ):
        target = scratch / f"{method}{per_channel}{float_results}.onnx"
        _qdq(parent, texts, target, method, per_channel, float_results)
        yield f"onnxruntime: {name}", target


def _nbits(parent: Path, target: Path) -> None:
    import onnx
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    made = MatMulNBitsQuantizer(onnx.load(str(parent)), bits=8, block_size=32, is_symmetric=True, accuracy_level=4)
    made.process()
    made.model.save_model_to_file(str(target))


def _qdq(
    parent: Path, texts: list[dict[str, Any]], target: Path, method: str, per_channel: bool, float_results: bool
) -> None:
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    length = max(text["input_ids"].shape[1] for text in texts)

    class Reader:
        """onnxruntime's calibration data reader. Its histograms need texts of one length."""

        def __init__(self) -> None:
            padded = [
                {name: np.pad(ids, ((0, 0), (0, length - ids.shape[1]))) for name, ids in text.items()}
                for text in texts
            ]
            self._texts = iter(texts if method == "MinMax" else padded)

        def get_next(self) -> dict[str, Any] | None:
            """The next text, None at the end."""
            return next(self._texts, None)

    options: dict[str, Any] = {"MatMulConstBOnly": True}
    if method == "Percentile":
        options["CalibPercentile"] = 99.999
    if float_results:
        options["OpTypesToExcludeOutputQuantization"] = ["MatMul"]
    quantize_static(
        str(parent),
        str(target),
        Reader(),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=["MatMul"],
        per_channel=per_channel,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        calibrate_method=getattr(CalibrationMethod, method),
        extra_options=options,
    )


def quality(path: Path, expected: Expected, gold: list[float], tokenizer: Any) -> str:
    """The columns of one graph but its speed."""
    session = open_session("onnx", path, threads=THREADS)
    found = outputs(session, tokenizer, expected, with_batches=True)
    session.close()
    metrics = measure(found, expected)
    labels = stats.spearmanr(found.logits[:, 0], gold).statistic
    columns = [metrics["score_max_abs"], metrics["score_mean_abs"], metrics["spearman"], labels]
    said = [f"{value:.5f}" for value in columns] + [f"{metrics['batch_score_max_abs']:.1e}"]
    return " | ".join([*said, f"{path.stat().st_size / 1e6:.0f} MB"])


def speeds(graphs: dict[str, Path], pairs: Sequence[Text], rounds: int, tokenizer: Any) -> dict[str, float]:
    """Pairs per second: all graphs are open and take turns; the first round warms up."""
    sessions = {name: open_session("onnx", path, threads=THREADS) for name, path in graphs.items()}
    found: dict[str, list[float]] = {name: [] for name in graphs}
    for _ in range(rounds + 1):
        for name, session in sessions.items():
            started = time.perf_counter()
            scoring.score_texts(session, tokenizer, pairs)
            found[name].append(len(pairs) / (time.perf_counter() - started))
    return {name: statistics.median(values[1:]) for name, values in found.items()}


def main() -> None:
    """Build, measure, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("slug")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--pairs", type=int, default=240)
    given = parser.parse_args()
    logging.getLogger("onnxruntime").setLevel(logging.ERROR)
    spec, params = load_spec(given.slug), load_params().parity
    inputs = load_record(given.slug, "onnx").inputs
    tokenizer = open_tokenizer(spec, inputs)
    expected = load_expected(spec, params, params.rows)
    gold = [
        pair.label if isinstance(pair.label, float | int) else 0.0
        for pair in read_pairs(paths.evaluation(given.slug)).pairs[: len(expected.pairs)]
    ]
    texts = calibration_rows(given.slug, inputs)
    place: Callable[[str], Path] = lambda name: paths.variant(given.slug, row(name)) / row(name).file_name  # noqa: E731
    graphs = {name: place(name) for name in ("onnx", "onnx-qint8-avx512_vnni", "onnx-quint8-avx2")}
    print("| graph | max | mean | Spearman | gold | moves | size |\n|---|---:|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as scratch:
        for name, path in graphs.items():
            print(f"| {name} | {quality(path, expected, gold, tokenizer)} |", flush=True)
        for name, path in rivals(place("onnx"), texts, Path(scratch)):
            try:
                print(f"| {name} | {quality(path, expected, gold, tokenizer)} |", flush=True)
            except Exception as error:  # a graph that onnxruntime refuses is a result too
                print(f"| {name} | {type(error).__name__}: {str(error)[:80]} |", flush=True)
                continue
            graphs[name] = path
        found = speeds(graphs, expected.pairs[: given.pairs], given.rounds, tokenizer)
    print("\n| graph | pairs/s | times fp32 |\n|---|---:|---:|")
    for name, value in found.items():
        print(f"| {name} | {value:.0f} | {value / found['onnx']:.2f} |")


if __name__ == "__main__":
    main()
