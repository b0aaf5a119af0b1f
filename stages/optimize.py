"""Stage `optimize`: O1 to O4, optimum's levels."""

from pathlib import Path
from typing import Any

from stages.building.variant_builder import Built, build_step, check_recipe, parent_graph, plain
from stages.core import paths
from stages.core.child_process import in_child
from stages.core.variants import PLAIN_EXPORT, VariantRow
from stages.toolchain.onnx import onnx_graph
from stages.toolchain.onnx.levels import optimize_graph

NO_GPU_NOTE = "optimised without a GPU: fp16 conversion and fusions, no GPU-specific graph pass"

LEVEL_FIELDS = ("optimization_level", "optimize_for_gpu")


def run(slug: str) -> None:
    """Write the variants onnx-O1 … onnx-O4."""

    def make(row: VariantRow, folder: Path, overrides: dict[str, Any]) -> Built:
        check_overrides(row, overrides)
        parent = parent_graph(slug, PLAIN_EXPORT)
        settings = in_child(
            write_level, parent, folder / row.file_name, paths.source(slug), row.preset, overrides, weights=parent
        )
        graph = onnx_graph.load_graph(folder / row.file_name)
        return Built(
            recipe={"preset": row.preset, "overrides": plain(overrides), "settings": settings},
            opset=onnx_graph.opset(graph),
            inputs=onnx_graph.input_names(graph),
            notes=(NO_GPU_NOTE,) if settings["fp16"] else (),
        )

    build_step(slug, "optimize", make)


def write_level(parent: Path, target: Path, source: Path, level: str, overrides: dict[str, Any]) -> Any:
    """Write one level of `parent` to `target`; optimum's settings for it, as JSON values."""
    from optimum.onnxruntime import AutoOptimizationConfig
    from transformers import AutoConfig

    settings = AutoOptimizationConfig.with_optimization_level(level, for_gpu=level == "O4", **overrides)
    optimize_graph(parent, target, AutoConfig.from_pretrained(source, trust_remote_code=False), settings)
    return plain(vars(settings))


def check_overrides(row: VariantRow, overrides: dict[str, Any]) -> None:
    """Raise RegistryError for what is no field of optimum's OptimizationConfig, or is set by the level."""
    from optimum.onnxruntime import OptimizationConfig

    check_recipe(row.id, overrides, {n: v for n, v in vars(OptimizationConfig()).items() if n not in LEVEL_FIELDS})
