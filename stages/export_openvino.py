"""Stage `export_openvino`: the float32 OpenVINO IR. All other OpenVINO variants are made from it."""

from collections.abc import Sequence
from functools import partial

from stages.building.build_step import build_step
from stages.records.model_spec import load_spec
from stages.toolchain.openvino.export import export


def run(slug: str, tools: Sequence[str]) -> None:
    """Write the variant `openvino`, or the record of why it could not be built."""
    build_step(slug, "export_openvino", tools, partial(export, load_spec(slug)))
