"""Stage `export`: the float32 ONNX graph, which all other ONNX variants are made from, and the float32 OpenVINO IR,
which all other OpenVINO variants are made from.

If cores, memory and disk allow, both are exported at the same time, each in a child process. Otherwise they are
exported one after the other, a small model in the stage's own process, which imports torch only once.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

from artificer.manifest import Runtime
from stages.building.build_step import Built, Tools, build_step
from stages.core import paths
from stages.core.child_process import in_child
from stages.core.errors import ToolchainError
from stages.core.variants import PLAIN_EXPORT, Step, VariantRow
from stages.records.model_spec import ModelSpec, load_spec
from stages.records.variant_record import load_record
from stages.toolchain.onnx.export import export as export_onnx
from stages.toolchain.openvino.export import export as export_openvino

Export = Callable[[ModelSpec, VariantRow, Path, dict[str, Any]], Built]
EXPORTS: dict[Runtime, Export] = {"onnx": export_onnx, "openvino": export_openvino}


def run(slug: str, tools: Tools, at_once: int) -> None:
    """Write the variants `onnx` and `openvino`, or the record of why one could not be built.

    Raises ToolchainError when the ONNX export fails, since every ONNX variant needs it.
    """
    spec = load_spec(slug)
    weights = paths.source(slug) / "config.json" if at_once == 1 else None

    def make(row: VariantRow, folder: Path, overrides: dict[str, Any]) -> Built:
        return in_child(EXPORTS[row.backend], spec, row, folder, overrides, weights=weights)

    _remove_unknown_steps(paths.step(slug, "export").parent)
    build_step(slug, "export", tools, make, at_once=at_once)
    record = load_record(slug, PLAIN_EXPORT)
    if record.status != "built":
        raise ToolchainError(f"{slug}: the ONNX export failed, and every ONNX variant needs it: {record.reason}")


def _remove_unknown_steps(variants: Path) -> None:
    """Remove the folders of steps that an earlier version had: later stages depend on everything in `variants`."""
    for folder in variants.iterdir() if variants.exists() else ():
        if folder.name not in get_args(Step):
            shutil.rmtree(folder)
