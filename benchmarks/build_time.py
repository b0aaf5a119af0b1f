"""What the five building stages cost against one process that calls the same library functions in a row.

    python benchmarks/build_time.py SLUG [--rounds 3]

Run at the repository's root, for a model that `fetch` and `data` have run for. Each side builds everything anew in each
round, in turn; figures are medians. The stages pay for starting Python and importing the toolchain five times, for
hashing and variant.json; in exchange a changed recipe rebuilds one step, and a killed step takes no other with it.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STEPS = ("export_onnx", "optimize", "quantize_onnx", "export_openvino", "quantize_openvino")


def in_stages(slug: str) -> dict[str, float]:
    """Wall seconds of each stage's process."""
    seconds = {}
    for step in STEPS:
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "stages", step, slug], check=True, stdout=subprocess.DEVNULL)
        seconds[step] = time.perf_counter() - started
    return seconds


def in_one_process(slug: str) -> float:
    """Wall seconds of a process that does the same without us."""
    started = time.perf_counter()
    subprocess.run([sys.executable, __file__, slug, "--plain"], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def plain(slug: str) -> None:
    """The same exports, optimisations and quantisations, one after the other, into a scratch folder."""
    from stages.core import environment

    environment.prepare(online=False)
    import openvino
    from optimum.exporters.onnx import onnx_export_from_model
    from optimum.exporters.openvino import export_from_model
    from optimum.intel.openvino import OVConfig, OVModelForSequenceClassification, OVQuantizationConfig, OVQuantizer
    from optimum.onnxruntime import AutoOptimizationConfig, AutoQuantizationConfig, ORTOptimizer, ORTQuantizer

    from stages.building import torch_model
    from stages.core import paths
    from stages.toolchain.openvino.calibration import calibration_rows

    model = torch_model.load_model(paths.source(slug), "AutoModelForSequenceClassification")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        task = "text-classification"
        onnx_export_from_model(model, output=folder, task=task, do_validation=False, no_post_process=True)
        graph = folder / "model.onnx"
        for level in ("O1", "O2", "O3", "O4"):
            settings = AutoOptimizationConfig.with_optimization_level(level, for_gpu=level == "O4")
            optimizer = ORTOptimizer([graph], config=model.config, from_ortmodel=True)
            optimizer.optimize(settings, save_dir=folder, file_suffix=level)
        for preset in ("arm64", "avx2", "avx512", "avx512_vnni"):
            settings = getattr(AutoQuantizationConfig, preset)(is_static=False)
            ORTQuantizer(graph).quantize(settings, save_dir=folder, file_suffix=preset)
        export_from_model(model, output=folder, task=task, ov_config=OVConfig(dtype="fp32"), stateful=False)
        ir = openvino.Core().read_model(folder / "openvino_model.xml")
        rows = calibration_rows(slug, tuple(port.get_any_name() for port in ir.inputs))
        ov_model = OVModelForSequenceClassification(ir, config=model.config, compile=False)
        settings = OVConfig(quantization_config=OVQuantizationConfig(num_samples=len(rows)))
        OVQuantizer.from_pretrained(ov_model).quantize(rows, save_directory=folder / "int8", ov_config=settings)


def main() -> None:
    """Both sides in turn, and a table."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("slug")
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--plain", action="store_true", help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.plain:
        plain(given.slug)
        return
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path.cwd()), os.environ.get("PYTHONPATH", "")])
    staged, alone = [], []
    for _ in range(given.rounds):
        staged.append(in_stages(given.slug))
        alone.append(in_one_process(given.slug))
    print(f"{given.slug}, {given.rounds} rounds in turn, median wall seconds\n")
    for step in STEPS:
        print(f"{step:20} {statistics.median(r[step] for r in staged):7.1f}")
    total = statistics.median(sum(r.values()) for r in staged)
    print(f"{'five stages':20} {total:7.1f}\n{'one process':20} {statistics.median(alone):7.1f}")
    ratios = [sum(r.values()) / a for r, a in zip(staged, alone, strict=True)]
    print(f"{'ratio':20} {statistics.median(ratios):7.2f}")


if __name__ == "__main__":
    main()
