"""The MatMuls and Gemms of an ONNX graph that suffer most from int8."""

import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from stages.core.child_process import in_child
from stages.fallback.layer_ranking import Batch, most_sensitive_first, or_nothing, product_error
from stages.toolchain.onnx import onnx_graph
from stages.toolchain.onnx.dynamic_int8 import quantised_name
from stages.toolchain.onnx.layer_inputs import layer_inputs


def ranked(parent: Path, batches: Sequence[Batch], scratch: Path) -> list[str]:
    """Names of a graph's MatMuls and Gemms with constant weights, the most sensitive first, for `nodes_to_exclude`."""
    import onnx

    graph = onnx_graph.load_graph(parent).graph
    weights = {tensor.name: tensor for tensor in graph.initializer if len(tensor.dims) == 2}
    nodes = [n for n in graph.node if n.op_type in ("MatMul", "Gemm") and n.input[1] in weights and n.name]
    tensors = sorted({node.input[0] for node in nodes})
    errors: dict[str, float] = dict.fromkeys([quantised_name(node) for node in nodes], 0.0)
    for found in layer_inputs(parent, tensors, batches, scratch):
        for node in nodes:
            tensor = weights[node.input[1]]
            weight = onnx.numpy_helper.to_array(tensor, base_dir=str(parent.parent)).astype(np.float32)
            if any(attribute.name == "transB" and attribute.i for attribute in node.attribute):
                weight = weight.T
            left = found[node.input[0]].reshape(-1, weight.shape[0]).astype(np.float32)
            errors[quantised_name(node)] += product_error(left, weight)
    return most_sensitive_first(errors)


def ranked_in_child(parent: Path, batches: Sequence[Batch]) -> list[str]:
    """`ranked` in a process of its own; empty where it fails, since other recipes do not need it."""
    with tempfile.TemporaryDirectory() as scratch:
        return or_nothing(partial(in_child, partial(ranked, parent, batches, Path(scratch)), weights=parent))
