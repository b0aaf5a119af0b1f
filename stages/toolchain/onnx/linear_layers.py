"""The linear layers of an ONNX graph: products with constant weights, each with the bias that is added to it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Linear:
    """`output` = `left` @ weight + bias. `node` is the MatMul or Gemm, `addition` the Add behind a MatMul that has
    the bias, `transposed` says that the weight is stored `[columns, channels]`."""

    node: Any
    left: str
    weight: str
    transposed: bool
    bias: str | None
    addition: Any | None
    output: str


def linear_layers(graph: Any) -> list[Linear]:
    """In the graph's order. A Gemm with other factors than 1, or with a bias that is no vector, is none."""
    import onnx

    tensors = {tensor.name: tensor for tensor in graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT}
    weights = {name for name, tensor in tensors.items() if len(tensor.dims) == 2}
    vectors = {name: tensor.dims[0] for name, tensor in tensors.items() if len(tensor.dims) == 1}
    readers: dict[str, list[Any]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    results = {value.name for value in graph.output}
    found = []
    for node in graph.node:
        if node.op_type not in ("MatMul", "Gemm") or node.input[1] not in weights or node.input[0] in tensors:
            continue
        if node.op_type == "Gemm":
            layer = _gemm(node, vectors)
        else:
            columns = tensors[node.input[1]].dims[1]
            layer = _matmul(node, columns, vectors, readers, results)
        if layer is not None:
            found.append(layer)
    return found


def groups(layers: Sequence[Linear]) -> list[list[Linear]]:
    """Layers that share an input tensor or a weight, directly or through others, in order of appearance."""
    found: list[list[Linear]] = []
    for layer in layers:
        mine = [group for group in found if any(_share(layer, other) for other in group)]
        joined = [each for group in mine for each in group] + [layer]
        found = [group for group in found if group not in mine] + [joined]
    return found


def _share(one: Linear, other: Linear) -> bool:
    return one.left == other.left or one.weight == other.weight


def _gemm(node: Any, vectors: dict[str, int]) -> Linear | None:
    """Gemm's attributes: https://onnx.ai/onnx/operators/onnx__Gemm.html."""
    values = {each.name: each.f if each.name in ("alpha", "beta") else each.i for each in node.attribute}
    bias = node.input[2] if len(node.input) > 2 and node.input[2] else None
    if values.get("alpha", 1) != 1 or values.get("transA", 0) or (bias and values.get("beta", 1) != 1):
        return None
    if bias and bias not in vectors:
        return None
    return Linear(node, node.input[0], node.input[1], bool(values.get("transB", 0)), bias, None, node.output[0])


def _matmul(
    node: Any, columns: int, vectors: dict[str, int], readers: dict[str, list[Any]], results: set[str]
) -> Linear:
    made = node.output[0]
    behind = readers.get(made, [])
    if len(behind) == 1 and behind[0].op_type == "Add" and made not in results:
        bias = [name for name in behind[0].input if vectors.get(name) == columns]
        if len(bias) == 1:
            return Linear(node, node.input[0], node.input[1], False, bias[0], behind[0], behind[0].output[0])
    return Linear(node, node.input[0], node.input[1], False, None, None, made)
