"""The float32 ONNX graph of a checkpoint, by torch's own exporter.

Attention is eager and the operator set is 20, the first with Gelu: most runtimes read it, and onnxruntime's optimiser
fuses it (docs/decisions/0031).
"""

import contextlib
import io
import logging
from pathlib import Path
from typing import Any

from stages.building import self_attention, torch_model
from stages.building.build_step import Built
from stages.building.exported_program import example_inputs, exported_program
from stages.building.recipes import check_recipe
from stages.core import paths
from stages.core.variants import VariantRow
from stages.records.model_spec import ModelSpec
from stages.toolchain.onnx import onnx_graph, sidecars

FIELDS = {"opset": 20}
WHOLE_FILE_BYTES = 1.8e9  # of weights: protobuf ends at 2 GiB


def export(spec: ModelSpec, row: VariantRow, folder: Path, overrides: dict[str, Any]) -> Built:
    """Write the graph of a checkpoint into `folder`. It returns logits."""
    check_overrides(row, overrides)
    settings = FIELDS | overrides
    target = folder / row.file_name
    outside = spec.parameters * 4 > WHOLE_FILE_BYTES
    write_graph(paths.source(spec.slug), spec.model_class, target, opset=settings["opset"], outside=outside)
    names = onnx_graph.input_names(onnx_graph.load_graph(target))
    return Built(recipe={"preset": row.preset, **settings, "attention": "eager"}, opset=settings["opset"], inputs=names)


def write_graph(
    source: Path, model_class: str, target: Path, *, opset: int = FIELDS["opset"], outside: bool = False
) -> None:
    """Write the graph of the checkpoint in `source` to `target`, with its weights in a sidecar if `outside`."""
    import torch

    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it warns of operators that a classifier does not have
    model = torch_model.load_model(source, model_class)
    inputs = example_inputs(model, source)
    with self_attention.without_branches(), contextlib.redirect_stdout(io.StringIO()):  # it prints its progress
        program = torch.onnx.export(
            exported_program(model, inputs),
            dynamo=True,
            opset_version=opset,
            input_names=list(inputs),
            output_names=["logits"],
            verbose=False,
        )
    assert program is not None
    program.save(str(target), external_data=outside)
    del program, model
    onnx_graph.tidy(target)
    sidecars.normalise_sidecars(target.parent, target.name)


def check_overrides(row: VariantRow, overrides: dict[str, Any]) -> None:
    """Raise RegistryError for a field that the exporter is not given."""
    check_recipe(row.id, overrides, FIELDS)
