"""What sentence-transformers' own export functions make of a checkpoint, all variants in one process.

    python benchmarks/one_process.py CHECKPOINT [--rows 32]

Prints seconds per variant, the peak memory (resident, of the process, sampled), and where it ended if the kernel killed
it. Weights are random, so what comes out is not judged; compare with benchmarks/at_size.py, whose stages also prove.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

ROWS = Path(__file__).resolve().parents[1] / "registry/demo/pairs.jsonl"
SECONDS = 0.05  # between two looks at the memory


def export(checkpoint: Path, out: Path, rows: int) -> None:
    """Every variant in turn; a JSON line after each."""
    from optimum.intel import OVQuantizationConfig
    from sentence_transformers import (
        CrossEncoder,
        export_dynamic_quantized_onnx_model,
        export_optimized_onnx_model,
        export_static_quantized_openvino_model,
    )

    def told(name: str, work: Any) -> Any:
        started = time.perf_counter()
        print(json.dumps({"begins": name}), flush=True)
        result = work()
        print(json.dumps({"variant": name, "seconds": time.perf_counter() - started}), flush=True)
        return result

    folder, model = str(out), str(checkpoint)
    onnx = told("onnx", lambda: CrossEncoder(model, backend="onnx", model_kwargs={"export": True}))
    onnx.save_pretrained(folder)
    for level in ("O1", "O2", "O3", "O4"):
        told(f"onnx-{level}", lambda level=level: export_optimized_onnx_model(onnx, level, folder))
    for preset in ("arm64", "avx2", "avx512", "avx512_vnni"):
        told(f"onnx-{preset}", lambda preset=preset: export_dynamic_quantized_onnx_model(onnx, preset, folder))
    openvino = told("openvino", lambda: CrossEncoder(model, backend="openvino", model_kwargs={"export": True}))
    openvino.save_pretrained(folder)
    found = [json.loads(line) for line in ROWS.read_text(encoding="utf-8").splitlines()[:rows]]
    texts = [f"{row['query']} {row['passage']}" for row in found]
    with tempfile.TemporaryDirectory() as data:  # a data set is taken by name: a folder is one
        (Path(data) / "texts.jsonl").write_text("".join(f"{json.dumps({'text': text})}\n" for text in texts))
        named: dict[str, Any] = {"dataset_name": data, "dataset_config_name": "default", "dataset_split": "train"}
        settings = OVQuantizationConfig(num_samples=len(texts))
        told(
            "openvino-qint8",
            lambda: export_static_quantized_openvino_model(openvino, settings, folder, column_name="text", **named),
        )


def main() -> None:
    """Run the exports in a process and watch it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--export", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.export:
        export(given.checkpoint, given.export, given.rows)
        return
    # Into a file: libraries print their progress, which nobody would read from a pipe before it is full.
    with tempfile.TemporaryDirectory() as out, tempfile.TemporaryFile("w+") as printed:
        command = [sys.executable, __file__, str(given.checkpoint), "--rows", str(given.rows), "--export", out]
        started = time.perf_counter()
        with subprocess.Popen(command, stdout=printed, stderr=subprocess.DEVNULL) as process:
            peak = watch(process)
        seconds = time.perf_counter() - started
        printed.seek(0)
        lines = [json.loads(line) for line in printed if line.startswith("{")]
    print(f"| {given.checkpoint.name} | seconds |\n|---|---:|")
    for line in lines:
        if "variant" in line:
            print(f"| {line['variant']} | {line['seconds']:.0f} |")
    ended = "all done" if process.returncode == 0 else f"ended with {process.returncode} in {lines[-1].get('begins')}"
    print(f"| all, imports included | {seconds:.0f} |\n\nPeak {peak / 1e9:.1f} GB; {ended}.")


def watch(process: "subprocess.Popen[bytes]") -> int:
    """The largest resident size until it ended."""
    found, peak = psutil.Process(process.pid), 0
    while process.poll() is None:
        try:
            peak = max(peak, found.memory_info().rss)
        except psutil.NoSuchProcess:
            break
        time.sleep(SECONDS)
    return peak


if __name__ == "__main__":
    main()
