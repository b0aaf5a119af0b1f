"""The MatMuls and Gemms of an ONNX graph that suffer most from int8."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from stages.core.copying import copy_file
from stages.fallback.layer_ranking import Batch, most_sensitive_first, product_error
from stages.toolchain.onnx import onnx_graph, sidecars
from stages.toolchain.onnx.dynamic_int8 import quantised_name


def ranked(parent: Path, batches: Sequence[Batch], scratch: Path) -> list[str]:
    """Names of a graph's MatMuls and Gemms with constant weights, the most sensitive first, for `nodes_to_exclude`."""
    import onnx
    import onnxruntime as ort

    model = onnx_graph.load_graph(parent)
    weights = {tensor.name: tensor for tensor in model.graph.initializer if len(tensor.dims) == 2}
    nodes = [n for n in model.graph.node if n.op_type in ("MatMul", "Gemm") and n.input[1] in weights and n.name]
    tensors = sorted({node.input[0] for node in nodes})
    known = {value.name for value in (*model.graph.output, *model.graph.input)}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in tensors if name not in known)
    # onnxruntime opens sidecars beside the graph only.
    for sidecar in sidecars.check_sidecars(parent, beside=("variant.json",))[1:]:
        copy_file(sidecar, scratch / sidecar.name)
    path = scratch / parent.name
    onnx.save_model(model, str(path))
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    inputs = {value.name for value in session.get_inputs()}
    errors: dict[str, float] = dict.fromkeys([quantised_name(node) for node in nodes], 0.0)
    for batch in batches:
        found = dict(zip(tensors, session.run(tensors, {k: v for k, v in batch.items() if k in inputs}), strict=True))
        for node in nodes:
            weight = onnx.numpy_helper.to_array(weights[node.input[1]], base_dir=str(scratch)).astype(np.float32)
            if any(attribute.name == "transB" and attribute.i for attribute in node.attribute):
                weight = weight.T
            left = found[node.input[0]].reshape(-1, weight.shape[0]).astype(np.float32)
            errors[quantised_name(node)] += product_error(left, weight)
    del session
    for file in scratch.iterdir():
        file.unlink()
    return most_sensitive_first(errors)
