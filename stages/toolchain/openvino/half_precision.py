"""An OpenVINO IR with its weights stored in half precision: half the size, and what is computed stays for the runtime
to choose. Each in a process of its own (stages/core/child_process.py), like int8."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

LEAST_ELEMENTS = 2  # a scalar stays what it is: it may be an epsilon


def halve(parent: Path, target: Path, kind: Literal["fp16", "bf16"]) -> None:
    """Write `target` (.xml) and its .bin. fp16 is OpenVINO's own compression; it has none for bf16, so constants are
    replaced here, each with a conversion to float32 behind it, as OpenVINO does for fp16."""
    import openvino as ov

    model = ov.Core().read_model(parent)
    stored = []  # a constant may share its tensor's memory: all stay alive until they are written
    if kind == "bf16":
        for node in list(model.get_ops()):
            if node.get_type_name() == "Constant" and node.get_element_type() == ov.Type.f32:
                stored.append(_store_as_bf16(ov, node))
    ov.save_model(model, target, compress_to_fp16=kind == "fp16")
    del stored


def bf16_bits(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    """The upper half of each float32, rounded to nearest, ties to even; infinities and NaN stay what they are."""
    bits = np.ascontiguousarray(values).view(np.uint32)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    return np.where(np.isnan(values), (bits >> 16) | 0x40, rounded).astype(np.uint16)


def _store_as_bf16(ov: Any, node: Any) -> Any:
    """Put a bf16 constant in the place of a float32 one; what must outlive the graph."""
    values = np.array(node.data, dtype=np.float32)
    if values.size < LEAST_ELEMENTS:
        return None
    tensor = ov.Tensor(ov.Type.bf16, ov.Shape(list(values.shape)))
    tensor.data.view(np.uint16)[...] = bf16_bits(values)
    constant = ov.op.Constant(tensor)
    constant.set_friendly_name(f"{node.get_friendly_name()}_bf16")
    decompressed = ov.opset13.convert(constant, "f32")
    decompressed.set_friendly_name(node.get_friendly_name())
    for reader in node.output(0).get_target_inputs():
        reader.replace_source_output(decompressed.output(0))
    return tensor, constant
