"""The float32 ONNX graph of a checkpoint, by torch's own exporter.

Attention is eager and the operator set is 20, the first with Gelu: most runtimes read it, and onnxruntime's optimiser
fuses it (docs/decisions/0031).
"""

from pathlib import Path
from typing import Any

from stages.building import torch_model
from stages.building.build_step import Built
from stages.building.exported_program import example_inputs
from stages.building.onnx_program import OPSET, onnx_program, weights_outside
from stages.building.recipes import check_recipe
from stages.core import paths
from stages.core.variants import VariantRow
from stages.records.model_spec import ModelSpec
from stages.toolchain.onnx import onnx_graph, sidecars

FIELDS = {"opset": OPSET}


def export(spec: ModelSpec, row: VariantRow, folder: Path, overrides: dict[str, Any]) -> Built:
    """Write the graph of a checkpoint into `folder`. It returns logits."""
    check_overrides(row, overrides)
    settings = FIELDS | overrides
    source, target = paths.source(spec.slug), folder / row.file_name
    outside = weights_outside(spec.parameters)
    write_graph(source, spec.model_class, target, opset=settings["opset"], outside=outside)
    names = onnx_graph.input_names(onnx_graph.load_graph(target))
    return Built(recipe={"preset": row.preset, **settings, "attention": "eager"}, opset=settings["opset"], inputs=names)


def write_graph(source: Path, model_class: str, target: Path, *, opset: int = OPSET, outside: bool = False) -> None:
    """Write the graph of the checkpoint in `source` to `target`, with its weights in a sidecar if `outside`."""
    model = torch_model.load_model(source, model_class)
    program = onnx_program(model, example_inputs(model, source), opset)
    program.save(str(target), external_data=outside)
    del program, model
    onnx_graph.tidy(target)
    sidecars.normalise_sidecars(target.parent, target.name)


def check_overrides(row: VariantRow, overrides: dict[str, Any]) -> None:
    """Raise RegistryError for a field that the exporter is not given."""
    check_recipe(row.id, overrides, FIELDS)
