"""Stage `optimize`: O1 to O4, by optimum's ORTOptimizer."""

from pathlib import Path
from typing import Any

from stages import onnx_graph, paths
from stages.build import Built, build_step, check_recipe, parent_graph, plain
from stages.variants import PLAIN_EXPORT, VariantRow

NO_GPU_NOTE = "optimised without a GPU: fp16 conversion and fusions, no GPU-specific graph pass"

LEVEL_FIELDS = ("optimization_level", "optimize_for_gpu")


def run(slug: str) -> None:
    """Write the variants onnx-O1 … onnx-O4."""

    def make(row: VariantRow, folder: Path, overrides: dict[str, Any]) -> Built:
        from optimum.onnxruntime import AutoOptimizationConfig, ORTOptimizer
        from transformers import AutoConfig

        parent = parent_graph(slug, PLAIN_EXPORT)
        config = AutoConfig.from_pretrained(paths.source(slug), trust_remote_code=False)
        check_recipe(row.id, overrides, recipe_defaults())
        settings = AutoOptimizationConfig.with_optimization_level(row.base, for_gpu=row.base == "O4", **overrides)
        # from_ortmodel=True is what keeps the optimiser from deleting the parent's sidecar (FIELD-NOTES).
        optimizer = ORTOptimizer([parent], config=config, from_ortmodel=True)
        optimizer.optimize(settings, save_dir=folder, file_suffix=row.base)
        onnx_graph.keep_only(folder, row.file_name)
        graph = onnx_graph.load_graph(folder / row.file_name)
        return Built(
            recipe={"base": row.base, "overrides": plain(overrides), "settings": plain(vars(settings))},
            opset=onnx_graph.opset(graph),
            inputs=onnx_graph.input_names(graph),
            notes=(NO_GPU_NOTE,) if settings.fp16 else (),
        )

    build_step(slug, "optimize", make)


def recipe_defaults() -> dict[str, Any]:
    """Fields of optimum's OptimizationConfig that a recipe may set, with their defaults; the level sets the others."""
    from optimum.onnxruntime import OptimizationConfig

    return {name: v for name, v in vars(OptimizationConfig()).items() if name not in LEVEL_FIELDS}
