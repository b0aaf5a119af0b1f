"""Cold start and peak memory: a fresh process until its first score, ours and CrossEncoder's, interleaved.

    python benchmarks/cold.py PUBLISHED_FOLDER [--variant onnx] [--rounds 5]

Seconds are from process start to the first score, model files in the page cache. Ours verifies every file's sha256 in
the first round, finds it in the verification cache in the second, and from then on OpenVINO's compiled
model as well: these two rounds are left out; `--verify full` hashes and compiles each time. Peak memory is the
process's ru_maxrss.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

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


def once(code: str) -> tuple[float, float, float]:
    """Seconds to the first score, peak MiB, the score."""
    start = time.time()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    end, peak, score = (float(word) for word in done.stdout.split()[-3:])
    return end - start, peak / 1024, score


def main() -> None:
    """Print one row per variant."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--variants", nargs="*", default=["onnx", "openvino-qint8"])
    parser.add_argument("--verify", choices=["cached", "full"], default="cached")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    manifest = json.loads((given.folder / "manifest.json").read_bytes())
    print("| variant | cold start, ratio | ours | peer | peak memory, ours / peer | ours | peer | score difference |")
    print("|---|---|---|---|---|---|---|---|")
    for name in given.variants:
        variant = next(each for each in manifest["variants"] if each["id"] == name)
        options = {"file_name": variant["graph"]}
        if variant["runtime"] == "openvino":
            options["ov_config"] = {"INFERENCE_PRECISION_HINT": "f32"}
        ours = OURS.format(folder=str(given.folder), variant=name, verify=given.verify)
        theirs = THEIRS.format(folder=str(given.folder), runtime=variant["runtime"], options=options)
        rows = [(once(ours), once(theirs)) for _ in range(given.rounds + 2)][2:]
        ratio = statistics.median(b[0] / a[0] for a, b in rows)
        memory = statistics.median(a[1] / b[1] for a, b in rows)
        mine, other = ([statistics.median(row[side][i] for row in rows) for i in (0, 1)] for side in (0, 1))
        gap = max(abs(a[2] - b[2]) for a, b in rows)
        print(f"| {name} | {ratio:.1f}x | {mine[0]:.2f} s | {other[0]:.2f} s | {memory:.2f} | {mine[1]:.0f} MiB"
              f" | {other[1]:.0f} MiB | {gap:.1e} |", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
