"""What an execution is, beside its variant, and what it is called: device, precision, settings."""

from collections.abc import Mapping
from typing import Literal

ExecutionPrecision = Literal["f32", "bf16", "f16"]
Device = Literal["cpu", "cuda"]
Settings = dict[str, str]
"""Properties of a runtime that change results, in the runtime's own names; empty for the runtime's own way. Which ones
a backend knows is in its table (`artificer.backends.Backend.settings`): a manifest cannot set any other."""


def on_device(name: str, device: Device) -> str:
    """`onnx-O4` on the CPU, `onnx-O4 on cuda` on a GPU."""
    return name if device == "cpu" else f"{name} on {device}"


def execution_label(
    variant_id: str, device: Device, precision: ExecutionPrecision, settings: Mapping[str, str] = {}
) -> str:
    """The variant's id, and what is not usual: `openvino in bf16`, `openvino-qint8 in f32, SNIPPETS_MODE=DISABLE`,
    `onnx-O4 on cuda`. An execution in float32, in the runtime's own way, on the CPU has the variant's id alone."""
    name = variant_id
    if precision != "f32" or settings:
        name = full_label(variant_id, "cpu", precision, settings)
    return on_device(name, device)


def full_label(variant_id: str, device: Device, precision: ExecutionPrecision, settings: Mapping[str, str] = {}) -> str:
    """The label with the precision in any case: `openvino in f32`."""
    return on_device(", ".join([f"{variant_id} in {precision}", *said(settings)]), device)


def said(settings: Mapping[str, str]) -> list[str]:
    """`["SNIPPETS_MODE=DISABLE"]`, in order of the names."""
    return [f"{name}={value}" for name, value in sorted(settings.items())]
