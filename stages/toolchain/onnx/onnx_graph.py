"""Reading facts of an ONNX file without loading its weights."""

import math
from pathlib import Path
from typing import Any


def load_graph(path: Path) -> Any:
    """The model without external data."""
    import onnx

    return onnx.load(str(path), load_external_data=False)


def opset(model: Any) -> int:
    """The version of the default operator set."""
    return next(int(entry.version) for entry in model.opset_import if entry.domain in ("", "ai.onnx"))


def input_names(model: Any) -> tuple[str, ...]:
    """Names of the graph's inputs, in its order."""
    return tuple(value.name for value in model.graph.input)


def tidy(path: Path) -> None:
    """Make a graph of torch's exporter fit for what follows. Weights beside the graph are not read.

    What it notes of the Python code behind each node is removed: paths of the building machine, and many bytes. A
    LayerNormalization without a bias gets one of zeros, since onnxruntime's fusions take its third input for granted.
    """
    import onnx

    model = load_graph(path)
    for part in (model.graph, *model.functions):
        del part.metadata_props[:]
        for item in (*part.node, *part.value_info):
            del item.metadata_props[:]
            item.doc_string = ""
    for item in (*model.graph.input, *model.graph.output, *model.graph.initializer):
        del item.metadata_props[:]
    del model.metadata_props[:]
    model.producer_version = model.producer_version.partition("+")[0]  # `+cpu` is of the building machine
    _add_biases(model.graph)
    onnx.save_model(model, str(path))


def _add_biases(graph: Any) -> None:
    import onnx

    weights = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "LayerNormalization" and len(node.input) == 2 and node.input[1] in weights:
            scale = weights[node.input[1]]
            bias = onnx.TensorProto(name=f"{scale.name}_zero_bias", data_type=scale.data_type, dims=scale.dims)
            width = onnx.helper.tensor_dtype_to_np_dtype(scale.data_type).itemsize
            bias.raw_data = bytes(math.prod(scale.dims) * width)
            if bias.name not in weights:
                graph.initializer.append(bias)
                weights[bias.name] = bias
            node.input.append(bias.name)
