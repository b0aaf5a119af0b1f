"""The float32 OpenVINO IR of a checkpoint, by optimum-intel's exporter."""

from pathlib import Path
from typing import Any

from stages.building import self_attention, torch_model
from stages.building.build_step import Built, keep_only
from stages.building.recipes import check_recipe
from stages.core import paths
from stages.core.variants import VariantRow
from stages.records.model_spec import ModelSpec


def export(spec: ModelSpec, row: VariantRow, folder: Path, overrides: dict[str, Any]) -> Built:
    """Write the IR of a checkpoint into `folder`. It returns logits."""
    from optimum.exporters.openvino import export_from_model
    from optimum.intel.openvino import OVConfig

    check_overrides(row, overrides)
    model = torch_model.load_model(paths.source(spec.slug), spec.model_class)
    with self_attention.without_branches():
        export_from_model(
            model,
            output=folder,
            task=spec.export_task,
            # Without a dtype, models of 1e9 parameters or more silently become int8 (FIELD-NOTES).
            ov_config=OVConfig(dtype="fp32"),
            stateful=False,
        )
    keep_only(folder, "openvino_model.")
    return Built(recipe={"preset": row.preset, "dtype": "fp32"}, inputs=input_names(folder / row.file_name))


def check_overrides(row: VariantRow, overrides: dict[str, Any]) -> None:
    """Raise RegistryError for any field: this recipe has none."""
    check_recipe(row.id, overrides, {})


def input_names(path: Path) -> tuple[str, ...]:
    """Names of an IR's inputs, in its order."""
    import openvino

    return tuple(port.get_any_name() for port in openvino.Core().read_model(path).inputs)
