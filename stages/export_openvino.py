"""Stage `export_openvino`: the fp32 OpenVINO IR, by optimum-intel's exporter. It returns logits."""

from pathlib import Path
from typing import Any

from stages.building import self_attention, torch_model
from stages.building.variant_builder import Built, build_step, check_recipe
from stages.core import paths
from stages.core.variants import VariantRow
from stages.records.model_spec import load_spec
from stages.tasks import BUILDING_TASKS
from stages.toolchain.onnx import onnx_graph


def run(slug: str) -> None:
    """Write the variant `openvino`."""

    def make(row: VariantRow, folder: Path, overrides: dict[str, Any]) -> Built:
        from optimum.exporters.openvino import export_from_model
        from optimum.intel.openvino import OVConfig

        check_overrides(row, overrides)
        task = BUILDING_TASKS[load_spec(slug).task]
        model = torch_model.load_model(paths.source(slug), task.model_class)
        with self_attention.without_branches():
            export_from_model(
                model,
                output=folder,
                task=task.export_task,
                # Without a dtype, models of 1e9 parameters or more would become int8 silently (FIELD-NOTES).
                ov_config=OVConfig(dtype="fp32"),
                stateful=False,
            )
        onnx_graph.keep_only(folder, "openvino_model.")
        return Built(
            recipe={"preset": row.preset, "dtype": "fp32"}, inputs=openvino_input_names(folder / row.file_name)
        )

    build_step(slug, "export_openvino", make)


def check_overrides(row: VariantRow, overrides: dict[str, Any]) -> None:
    """Raise RegistryError for any field: this recipe has none."""
    check_recipe(row.id, overrides, {})


def openvino_input_names(path: Path) -> tuple[str, ...]:
    """Names of an IR's inputs, in its order."""
    import openvino

    return tuple(port.get_any_name() for port in openvino.Core().read_model(path).inputs)
