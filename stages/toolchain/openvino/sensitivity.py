"""The MatMuls of an OpenVINO IR that suffer most from int8."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stages.fallback.layer_ranking import Batch, most_sensitive_first, product_error


def ranked(parent: Path, batches: Sequence[Batch]) -> list[str]:
    """Names of an IR's MatMuls with constant weights, the most sensitive first, for an ignored scope."""
    import openvino as ov

    model = ov.Core().read_model(parent)
    nodes = [node for node in model.get_ops() if node.get_type_name() == "MatMul" and _constant(node) is not None]
    lefts = {node.get_friendly_name(): node.input_value(0) for node in nodes}
    results = [ov.opset13.result(left) for left in lefts.values()]
    model.add_results(results)
    compiled = ov.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    errors: dict[str, float] = dict.fromkeys(lefts, 0.0)
    first = len(compiled.outputs) - len(results)
    inputs = {port.get_any_name() for port in compiled.inputs}
    for batch in batches:
        found = compiled({k: v for k, v in batch.items() if k in inputs})
        for i, node in enumerate(nodes):
            weight = np.asarray(_constant(node).data, dtype=np.float32)
            if node.get_attributes()["transpose_b"]:
                weight = weight.T
            left = np.asarray(found[first + i], dtype=np.float32).reshape(-1, weight.shape[0])
            errors[node.get_friendly_name()] += product_error(left, weight)
    return most_sensitive_first(errors)


def _constant(node: Any) -> Any:
    """The constant behind a MatMul's second input, through a conversion of compressed weights; None where there is
    none of two dimensions."""
    source = node.input_value(1).get_node()
    if source.get_type_name() == "Convert":
        source = source.input_value(0).get_node()
    return source if source.get_type_name() == "Constant" and len(source.get_output_shape(0)) == 2 else None
