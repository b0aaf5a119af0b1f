"""Cold start and peak memory: a fresh process until its first score, ours, the bare runtime's and CrossEncoder's,
interleaved.

    python benchmarks/cold.py PUBLISHED_FOLDER [--variants onnx openvino-qint8] [--rounds 5] [--without-peer]

Seconds are from process start to the first score, model files in the page cache. Ours verifies every file's sha256 in
the first round, finds it in the verification cache in the second, and from then on OpenVINO's compiled
model as well: these two rounds are left out; `--verify full` hashes and compiles each time. The bare runtime is the
same file with onnxruntime or OpenVINO, numpy and tokenizers alone, without manifest, checks or self-test; OpenVINO has
a cache of compiled models there too. CPU seconds are user and system time of the process: on a shared machine they vary
less than wall seconds. Peak memory is the process's ru_maxrss.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from artificer.host import thread_count

OURS = """
import artificer, resource, sys, time
reranker = artificer.load({folder!r}, variant={variant!r}, verify={verify!r})
score = float(reranker.predict(("how deep is the lake", "It is 1,642 metres deep.")))
print(time.time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, score)
"""
THEIRS = """
import warnings, logging; warnings.simplefilter("ignore"); logging.disable(logging.WARNING)
import resource, sys, time
from sentence_transformers import CrossEncoder
model = CrossEncoder({folder!r}, backend={runtime!r}, model_kwargs={options!r})
score = float(model.predict(("how deep is the lake", "It is 1,642 metres deep.")))
print(time.time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, score)
"""

BARE = """
import os, resource, time
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import numpy as np
from tokenizers import Tokenizer
tokenizer = Tokenizer.from_file({tokenizer!r})
tokenizer.enable_truncation({max_length}, strategy="longest_first")
found = tokenizer.encode("how deep is the lake", "It is 1,642 metres deep.")
arrays = {{"input_ids": found.ids, "attention_mask": found.attention_mask, "token_type_ids": found.type_ids}}
arrays = {{name: np.array([values], dtype=np.int64) for name, values in arrays.items()}}
{run}
score = float(np.ravel(logits)[0])
print(time.time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, score)
"""
RUNS = {
    "onnx": """
import onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = {threads}
session = onnxruntime.InferenceSession({graph!r}, options, providers=["CPUExecutionProvider"])
logits = session.run(None, {{node.name: arrays[node.name] for node in session.get_inputs()}})[0]
""",
    "openvino": """
import openvino
core = openvino.Core()
settings = {{"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": {threads}, "PERFORMANCE_HINT": "LATENCY",
             "CACHE_DIR": {cache!r}}}
model = core.compile_model({graph!r}, "CPU", settings)
logits = model({{port.get_any_name(): arrays[port.get_any_name()] for port in model.inputs}})["logits"]
""",
}


class Once(NamedTuple):
    """One process: seconds to the first score, CPU seconds, peak MiB, the score."""

    seconds: float
    cpu: float
    peak: float
    score: float


def once(code: str, bytecode: str) -> Once:
    """Run the code in a process of its own, which finds the bytecode of every module in a folder after the first
    round, as that of an installed package would be. A variable of some containers (PYTHONDONTWRITEBYTECODE) would have
    it compile ours again each time, and not the rivals', which pip compiled."""
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    variables["PYTHONPYCACHEPREFIX"] = bytecode
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.time()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=variables)
    if done.returncode:
        raise SystemExit(done.stderr)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    end, peak, score = (float(word) for word in done.stdout.split()[-3:])
    return Once(end - start, cpu, peak / 1024, score)


def bare(manifest: dict[str, Any], variant: dict[str, Any], folder: Path, cache: str) -> str:
    """The code that opens a variant's graph with its runtime alone."""
    graph, threads = str(folder / variant["graph"]), thread_count()[0]
    run = RUNS[variant["runtime"]].format(graph=graph, threads=threads, cache=cache)
    return BARE.format(
        tokenizer=str(folder / manifest["tokenizer"]["file"]),
        max_length=manifest["max_length"],
        run=run,
    )


def main() -> None:
    """Print one row per variant."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--variants", nargs="*", default=["onnx", "openvino-qint8"])
    parser.add_argument("--verify", choices=["cached", "full"], default="cached")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--without-peer", action="store_true", help="do not start CrossEncoder")
    given = parser.parse_args()
    manifest = json.loads((given.folder / "manifest.json").read_bytes())
    print("| variant | side | cold start | beside ours | CPU | beside ours | peak memory | score difference |")
    print("|---|---|---:|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as cache, tempfile.TemporaryDirectory() as bytecode:
        for name in given.variants:
            variant = next(each for each in manifest["variants"] if each["id"] == name)
            options = {"file_name": variant["graph"]}
            if variant["runtime"] == "openvino":
                options["ov_config"] = {"INFERENCE_PRECISION_HINT": "f32"}
            codes = {
                "ours": OURS.format(folder=str(given.folder), variant=name, verify=given.verify),
                "bare runtime": bare(manifest, variant, given.folder, cache),
                "CrossEncoder": THEIRS.format(folder=str(given.folder), runtime=variant["runtime"], options=options),
            }
            if given.without_peer:
                del codes["CrossEncoder"]
            rounds = [{side: once(code, bytecode) for side, code in codes.items()} for _ in range(given.rounds + 2)][2:]
            for side in codes:
                seconds, cpu, peak = (statistics.median(row[side][i] for row in rounds) for i in range(3))
                ratio = statistics.median(row[side].seconds / row["ours"].seconds for row in rounds)
                in_cpu = statistics.median(row[side].cpu / row["ours"].cpu for row in rounds)
                # The bare runtime returns a logit, the others a score.
                gap = max(abs(row[side].score - row["ours"].score) for row in rounds)
                shown = "-" if side == "bare runtime" else f"{gap:.1e}"
                found = [f"{seconds:.2f} s", f"{ratio:.2f}x", f"{cpu:.2f} s", f"{in_cpu:.2f}x", f"{peak:.0f} MiB"]
                print(f"| {' | '.join([name, side, *found, shown])} |", flush=True)


if __name__ == "__main__":
    main()
