"""Stage `export_onnx`: the float32 ONNX graph. All other ONNX variants are made from it."""

from collections.abc import Sequence
from functools import partial

from stages.building.build_step import build_step
from stages.core.errors import ToolchainError
from stages.core.variants import PLAIN_EXPORT
from stages.records.model_spec import load_spec
from stages.records.variant_record import load_record
from stages.toolchain.onnx.export import export


def run(slug: str, tools: Sequence[str]) -> None:
    """Write the variant `onnx`. Raises ToolchainError when the export fails, since nothing can follow then."""
    build_step(slug, "export_onnx", tools, partial(export, load_spec(slug)))
    record = load_record(slug, PLAIN_EXPORT)
    if record.status != "built":
        raise ToolchainError(f"{slug}: the ONNX export failed, and every ONNX variant needs it: {record.reason}")
