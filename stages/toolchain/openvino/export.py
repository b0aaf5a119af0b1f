"""The float32 OpenVINO IR of a checkpoint: by optimum-intel's exporter, else by OpenVINO's own conversion."""

from pathlib import Path
from typing import Any

from stages.building import self_attention, torch_model
from stages.building.build_step import Built, keep_only
from stages.building.exported_program import example_inputs, exported_program
from stages.building.recipes import check_recipe
from stages.core import environment, paths
from stages.core.errors import first_line
from stages.core.variants import VariantRow
from stages.records.model_spec import ModelSpec

# What optimum-intel raises for a model type that it does not know, or does not export any more.
UNKNOWN_TYPE = (AttributeError, KeyError, NotImplementedError, ValueError)


def export(spec: ModelSpec, row: VariantRow, folder: Path, overrides: dict[str, Any]) -> Built:
    """Write the IR of a checkpoint into `folder`. It returns logits."""
    with environment.hidden("sentence_transformers", "sklearn"):
        from optimum.exporters.openvino import export_from_model
        from optimum.intel.openvino import OVConfig

    check_overrides(row, overrides)
    source = paths.source(spec.slug)
    model = torch_model.load_model(source, spec.model_class)
    notes: tuple[str, ...] = ()
    with self_attention.without_branches():
        try:
            export_from_model(
                model,
                output=folder,
                task=spec.export_task,
                # Without a dtype, models of 1e9 parameters or more silently become int8.
                ov_config=OVConfig(dtype="fp32"),
                stateful=False,
            )
            route = "optimum-intel"
        except UNKNOWN_TYPE as error:
            _convert(model, source, folder / row.file_name)
            route, notes = "torch.export", (f"not by optimum-intel: {first_line(error)}",)
    keep_only(folder, "openvino_model.")
    return Built(
        recipe={"preset": row.preset, "dtype": "fp32", "route": route},
        inputs=input_names(folder / row.file_name),
        notes=notes,
    )


def check_overrides(row: VariantRow, overrides: dict[str, Any]) -> None:
    """Raise RegistryError for any field: this recipe has none."""
    check_recipe(row.id, overrides, {})


def input_names(path: Path) -> tuple[str, ...]:
    """Names of an IR's inputs, in its order."""
    import openvino

    return tuple(port.get_any_name() for port in openvino.Core().read_model(path).inputs)


def _convert(model: Any, source: Path, target: Path) -> None:
    """OpenVINO's conversion of torch.export's program, which needs no knowledge of the model type."""
    import openvino

    inputs = example_inputs(model, source)
    converted = openvino.convert_model(exported_program(model, inputs).run_decompositions())
    for port, name in zip(converted.inputs, inputs, strict=True):
        port.get_tensor().set_names({name})
    converted.outputs[0].get_tensor().set_names({"logits"})
    openvino.save_model(converted, target, compress_to_fp16=False)
