"""Stage `export_onnx`: the plain fp32 ONNX graph, by optimum's exporter. It returns logits."""

from pathlib import Path
from typing import Any

from stages.building import self_attention, torch_model
from stages.building.variant_builder import Built, build_step, check_recipe, load_record
from stages.core import paths
from stages.core.errors import ToolchainError
from stages.core.variants import PLAIN_EXPORT, VariantRow
from stages.records.model_spec import load_spec
from stages.tasks import BUILDING_TASKS
from stages.toolchain.onnx import onnx_graph


def run(slug: str) -> None:
    """Write the variant `onnx`. Raises ToolchainError when that fails: all other ONNX variants are made from it."""

    def make(row: VariantRow, folder: Path, overrides: dict[str, Any]) -> Built:
        from optimum.exporters.onnx import onnx_export_from_model

        check_overrides(row, overrides)
        settings = {"opset": None, "do_constant_folding": True, **overrides}
        task = BUILDING_TASKS[load_spec(slug).task]
        model = torch_model.load_model(paths.source(slug), task.model_class)
        with self_attention.without_branches():
            onnx_export_from_model(
                model,
                output=folder,
                task=task.export_task,
                do_validation=False,  # `parity` does it better
                no_post_process=True,
                device="cpu",
                **settings,
            )
        onnx_graph.keep_only(folder, "model.onnx")
        graph = onnx_graph.load_graph(folder / row.file_name)
        opset = onnx_graph.opset(graph)
        return Built(
            recipe={"preset": row.preset, **settings, "opset": opset}, opset=opset, inputs=onnx_graph.input_names(graph)
        )

    build_step(slug, "export_onnx", make)
    record = load_record(slug, PLAIN_EXPORT)
    if record.status != "built":
        raise ToolchainError(f"{slug}: the plain ONNX export failed, and every ONNX variant needs it: {record.reason}")


def check_overrides(row: VariantRow, overrides: dict[str, Any]) -> None:
    """Raise RegistryError for a field that the exporter is not given."""
    check_recipe(row.id, overrides, {"opset": 0, "do_constant_folding": True})
