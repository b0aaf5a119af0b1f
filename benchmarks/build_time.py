"""What the building stages cost against one process that calls the same library functions in a row.

    python benchmarks/build_time.py SLUG [--rounds 3]

Run at the repository's root, for a model that `reference` has run for. In each round, first the stages and then the one
process build everything. Results are medians. Each stage starts Python, imports the toolchain, hashes files and writes
variant.json, and the quantising stages also judge what they built. In exchange, a changed recipe rebuilds one stage
only, and a killed stage does not affect the others.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STEPS = ("export", "optimize", "quantize_onnx", "quantize_openvino")


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
    from datasets import Dataset
    from onnxruntime.quantization import quantize_dynamic
    from onnxruntime.transformers.optimizer import optimize_model
    from optimum.exporters.openvino import export_from_model
    from optimum.intel.openvino import OVConfig, OVModelForSequenceClassification, OVQuantizationConfig, OVQuantizer
    from optimum.onnxruntime import AutoOptimizationConfig, AutoQuantizationConfig
    from optimum.onnxruntime.utils import ORTConfigManager
    from optimum.utils import NormalizedConfigManager

    from stages.building import torch_model
    from stages.building.calibration import calibration_rows
    from stages.core import paths
    from stages.toolchain.onnx import calibrated_int8
    from stages.toolchain.onnx.export import write_graph

    model_class, source = "AutoModelForSequenceClassification", paths.source(slug)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        graph = folder / "plain" / "model.onnx"
        for name in ("plain", "static"):
            (folder / name).mkdir()
        write_graph(source, model_class, graph)
        model = torch_model.load_model(source, model_class)
        kind = ORTConfigManager.get_model_ort_type(model.config.model_type)
        sizes = NormalizedConfigManager.get_normalized_config_class(model.config.model_type)(model.config)
        for level in ("O1", "O2", "O3", "O4"):
            settings = AutoOptimizationConfig.with_optimization_level(level, for_gpu=level == "O4")
            optimizer = optimize_model(
                str(graph),
                kind,
                sizes.num_attention_heads,
                sizes.hidden_size,
                opt_level=settings.optimization_level,
                optimization_options=settings.create_fusion_options(kind),
                use_gpu=settings.optimize_for_gpu,
                only_onnxruntime=not settings.enable_transformers_specific_optimizations,
            )
            if settings.fp16:
                optimizer.convert_float_to_float16(keep_io_types=True)
            optimizer.save_model_to_file(str(folder / f"model_{level}.onnx"))
        for preset in ("arm64", "avx2", "avx512", "avx512_vnni"):
            settings = getattr(AutoQuantizationConfig, preset)(is_static=False)
            quantize_dynamic(
                graph,
                folder / f"model_{preset}.onnx",
                per_channel=settings.per_channel,
                reduce_range=settings.reduce_range,
                weight_type=settings.weights_dtype,
            )
        texts = calibration_rows(slug, ("input_ids", "attention_mask", "token_type_ids"))
        (folder / "ranges").mkdir()
        ranges = calibrated_int8.channel_ranges(graph, texts, folder / "ranges")
        calibrated_int8.quantise(graph, calibrated_int8.StaticSettings(), ranges, {}, folder / "static" / "model.onnx")
        task = "text-classification"
        export_from_model(model, output=folder / "ir", task=task, ov_config=OVConfig(dtype="fp32"), stateful=False)
        ir = openvino.Core().read_model(folder / "ir" / "openvino_model.xml")
        rows = calibration_rows(slug, tuple(port.get_any_name() for port in ir.inputs), length_step=16)
        ov_model = OVModelForSequenceClassification(ir, config=model.config, compile=False)
        settings = OVConfig(quantization_config=OVQuantizationConfig(num_samples=len(rows)))
        data = Dataset.from_dict({name: [row[name][0].tolist() for row in rows] for name in rows[0]})
        OVQuantizer.from_pretrained(ov_model).quantize(data, save_directory=folder / "int8", ov_config=settings)


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
    print(f"{'all stages':20} {total:7.1f}\n{'one process':20} {statistics.median(alone):7.1f}")
    ratios = [sum(r.values()) / a for r, a in zip(staged, alone, strict=True)]
    print(f"{'ratio':20} {statistics.median(ratios):7.2f}")


if __name__ == "__main__":
    main()
