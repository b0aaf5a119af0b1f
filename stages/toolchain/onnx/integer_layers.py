"""Writing a graph's linear layers and embeddings with integers: nodes, initialisers, and what is then unused."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.toolchain.onnx.linear_layers import Linear

DOMAIN = "com.microsoft"  # of onnxruntime's own operators


class IntegerGraph:
    """A graph while it is rewritten. `finish` puts the new nodes in and removes what nothing reads any more."""

    def __init__(self, graph: Any):
        self._graph = graph
        self._constants = {tensor.name: tensor for tensor in graph.initializer}
        self._new: list[Any] = []
        self._tensors: dict[str, list[Any]] = {}
        self._instead: dict[str, list[Any]] = {}  # by the first output, which no other node has
        self._names: set[str] = set()

    def weight(self, layer: Linear) -> NDArray[np.float32]:
        """A layer's weight, `[channels, columns]`."""
        found = self._values(layer.weight)
        return found.T if layer.transposed else found

    def table(self, node: Any) -> NDArray[np.float32] | None:
        """The float table that a Gather takes rows of, or None."""
        import onnx

        if node.op_type != "Gather" or any(each.name == "axis" and each.i for each in node.attribute):
            return None
        tensor = self._constants.get(node.input[0])
        if tensor is None or len(tensor.dims) != 2 or tensor.data_type != onnx.TensorProto.FLOAT:
            return None
        return self._values(node.input[0])

    def quantise_tensor(self, name: str, factor: NDArray[np.float32] | None, scale: np.float32, zero: np.uint8) -> None:
        """Add `<name>_quantised`, of `name` times `factor` per channel; it is computed before its first reader."""
        from onnx import helper

        source, nodes = name, []
        if factor is not None:
            self._add(f"{name}_factor", factor.astype(np.float32))
            source = f"{name}_smooth"
            nodes.append(helper.make_node("Mul", [name, f"{name}_factor"], [source], name=source))
        self._add(f"{name}_scale", np.asarray(scale))
        self._add(f"{name}_zero_point", np.asarray(zero))
        inputs = [source, f"{name}_scale", f"{name}_zero_point"]
        nodes.append(helper.make_node("QuantizeLinear", inputs, [f"{name}_quantised"], name=f"{name}_quantised"))
        self._tensors[name] = nodes

    def add_weight(self, name: str, transposed: bool, values: NDArray[np.int8], scales: NDArray[np.float32]) -> None:
        """Add the int8 form of a weight, `[channels, columns]`."""
        own = _own(name, transposed)
        self._add(f"{own}_quantised", values)
        self._add(f"{own}_scale", scales)
        self._add(f"{own}_zero_point", np.zeros(scales.shape, dtype=np.int8))

    def replace_layer(self, layer: Linear) -> None:
        """Compute a layer from the quantised tensor and weight."""
        from onnx import helper

        left, own = layer.left, _own(layer.weight, layer.transposed)
        inputs = [f"{left}_quantised", f"{own}_quantised", f"{left}_scale", f"{own}_scale"]
        inputs += [f"{left}_zero_point", f"{own}_zero_point"]
        inputs += [layer.bias] if layer.bias else []
        product = helper.make_node(
            "MatMulIntegerToFloat", inputs, [layer.output], domain=DOMAIN, name=f"{layer.node.name}_quantised"
        )
        self._instead[layer.node.output[0]] = [*self._tensors.pop(left, []), product]
        if layer.addition is not None:
            self._instead[layer.addition.output[0]] = []

    def replace_table(self, node: Any, values: NDArray[np.int8], scale: NDArray[np.float32]) -> None:
        """Look rows up in the int8 form of a table, and convert them."""
        from onnx import TensorProto, helper

        table, found = node.input[0], node.output[0]
        self._add(f"{table}_quantised", values)
        self._add(f"{table}_scale", scale)
        self._instead[found] = [
            helper.make_node("Gather", [f"{table}_quantised", node.input[1]], [f"{found}_rows"], name=f"{found}_rows"),
            helper.make_node("Cast", [f"{found}_rows"], [f"{found}_cast"], name=f"{found}_cast", to=TensorProto.FLOAT),
            helper.make_node("Mul", [f"{found}_cast", f"{table}_scale"], [found], name=f"{found}_scaled"),
        ]

    def finish(self, model: Any) -> None:
        """Put the new nodes in the old ones' places."""
        from onnx import helper

        graph = self._graph
        nodes = [new for node in graph.node for new in self._instead.get(node.output[0], [node])]
        kept = [type(node).FromString(node.SerializeToString()) for node in nodes]
        del graph.node[:]
        graph.node.extend(kept)
        used = {value.name for value in graph.output}.union(*map(_read_by, kept))
        unused = [i for i, tensor in enumerate(graph.initializer) if tensor.name not in used]
        for i in reversed(unused):
            del graph.initializer[i]
        graph.initializer.extend(self._new)
        del graph.value_info[:]
        if not any(entry.domain == DOMAIN for entry in model.opset_import):
            model.opset_import.append(helper.make_opsetid(DOMAIN, 1))

    def _values(self, name: str) -> NDArray[np.float32]:
        from onnx import numpy_helper

        return np.asarray(numpy_helper.to_array(self._constants[name]), dtype=np.float32)

    def _add(self, name: str, values: Any) -> None:
        from onnx import numpy_helper

        if name not in self._names:
            self._names.add(name)
            self._new.append(numpy_helper.from_array(np.ascontiguousarray(values).reshape(values.shape), name))


def _own(weight: str, transposed: bool) -> str:
    return f"{weight}_transposed" if transposed else weight


def _read_by(node: Any) -> set[str]:
    """The names that a node reads, and those that the graphs inside it read."""
    found = set(node.input)
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            found.update({value.name for value in graph.output}, *map(_read_by, graph.node))
    return found
