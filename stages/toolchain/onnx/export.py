"""The float32 ONNX graph of a checkpoint, by optimum's exporter."""

from pathlib import Path
from typing import Any

from stages.building import self_attention, torch_model
from stages.building.build_step import Built, keep_only
from stages.building.recipes import check_recipe
from stages.core import paths
from stages.core.variants import VariantRow
from stages.records.model_spec import ModelSpec
from stages.toolchain.onnx import onnx_graph, sidecars

FIELDS = {"opset": 0, "do_constant_folding": True}


def export(spec: ModelSpec, row: VariantRow, folder: Path, overrides: dict[str, Any]) -> Built:
    """Write the graph of a checkpoint into `folder`. It returns logits."""
    from optimum.exporters.onnx import onnx_export_from_model

    check_overrides(row, overrides)
    settings = {"opset": None, "do_constant_folding": True, **overrides}
    model = torch_model.load_model(paths.source(spec.slug), spec.model_class)
    with self_attention.without_branches():
        onnx_export_from_model(
            model,
            output=folder,
            task=spec.export_task,
            do_validation=False,  # stage `parity` compares more
            no_post_process=True,
            device="cpu",
            **settings,
        )
    keep_only(folder, "model.onnx")
    sidecars.normalise_sidecars(folder, row.file_name)
    graph = onnx_graph.load_graph(folder / row.file_name)
    opset = onnx_graph.opset(graph)
    return Built(
        recipe={"preset": row.preset, **settings, "opset": opset}, opset=opset, inputs=onnx_graph.input_names(graph)
    )


def check_overrides(row: VariantRow, overrides: dict[str, Any]) -> None:
    """Raise RegistryError for a field that the exporter is not given."""
    check_recipe(row.id, overrides, FIELDS)
