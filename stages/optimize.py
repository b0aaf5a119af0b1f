"""Stage `optimize`: optimum's levels O1 to O4, by onnxruntime's own functions on a graph whose weights stay on disk."""

from pathlib import Path
from typing import Any

from stages.building.build_step import Built, Tools, build_step, parent_graph
from stages.building.recipes import plain
from stages.core import paths
from stages.core.child_process import in_child
from stages.core.variants import PLAIN_EXPORT, VariantRow
from stages.toolchain.onnx import onnx_graph, sidecars
from stages.toolchain.onnx.levels import check_overrides, write_level

NO_GPU_NOTE = "optimised without a GPU: fp16 conversion and fusions, no GPU-specific graph pass"


def run(slug: str, tools: Tools, at_once: int) -> None:
    """Write the variants onnx-O1 … onnx-O4."""

    def make(row: VariantRow, folder: Path, overrides: dict[str, Any]) -> Built:
        check_overrides(row, overrides)
        parent, target = parent_graph(slug, PLAIN_EXPORT), folder / row.file_name
        settings, notes = in_child(
            write_level,
            parent,
            target,
            paths.source(slug),
            row.preset,
            overrides,
            weights=parent if at_once == 1 else None,
        )
        sidecars.normalise_sidecars(folder, row.file_name)
        graph = onnx_graph.load_graph(target)
        return Built(
            recipe={"preset": row.preset, "overrides": plain(overrides), "settings": settings},
            opset=onnx_graph.opset(graph),
            inputs=onnx_graph.input_names(graph),
            notes=(*notes, *((NO_GPU_NOTE,) if settings["fp16"] else ())),
        )

    build_step(slug, "optimize", tools, make, at_once=at_once)
