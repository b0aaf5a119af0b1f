"""Which MatMuls suffer most from int8, found by measuring: the float graph runs a few pairs, and each MatMul with a
constant weight is computed once more from its inputs rounded to int8. One pass for all of them, and no quantised model.

The measure is local (relative error of the product), as in onnxruntime's qdq_loss_debug: it does not see what later
layers make of it, and finds what breaks int8 in practice, channels that are far larger than the others.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.core.copying import copy_file
from stages.core.errors import BuildError, first_line
from stages.toolchain.onnx import onnx_graph, sidecars
from stages.toolchain.onnx.dynamic_int8 import quantised_name

Array = NDArray[np.float32]
Batch = dict[str, NDArray[np.int64]]


def product_error(left: Array, weight: Array) -> float:
    """Relative error of `left @ weight`, [rows, inputs] by [inputs, outputs], with `left` rounded to 256 steps over its
    whole range and `weight` to 255 per column: dynamic int8, per channel."""
    exact = left @ weight
    low, high = min(float(left.min()), 0.0), max(float(left.max()), 0.0)
    step = (high - low) / 255 or 1.0
    rounded = np.round((left - low) / step) * step + low
    scale = np.maximum(np.abs(weight).max(axis=0), 1e-12) / 127
    rounded_weight = np.round(weight / scale) * scale
    norm = float(np.linalg.norm(exact))
    return float(np.linalg.norm(rounded @ rounded_weight - exact)) / norm if norm else 0.0


def ranked_onnx(parent: Path, batches: Sequence[Batch], scratch: Path) -> list[str]:
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
    return _most_sensitive_first(errors)


def ranked_openvino(parent: Path, batches: Sequence[Batch]) -> list[str]:
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
    return _most_sensitive_first(errors)


def or_nothing(ranking: Callable[[], list[str]]) -> list[str]:
    """The ranking, or none where it cannot be had: other recipes need none, and go on."""
    try:
        return ranking()
    except BuildError:
        raise
    except Exception as error:  # a runtime may refuse a graph in any way it likes, and a child may be killed
        print(f"the most sensitive layers cannot be found: {first_line(error)}", flush=True)
        return []


def steps(names: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """How many to leave out: an eighth, a quarter, a half; each with the names, sorted."""
    for share in (8, 4, 2):
        count = max(1, len(names) // share)
        if count < len(names):
            yield count, sorted(names[:count])


def _constant(node: Any) -> Any:
    """The constant behind a MatMul's second input, through a conversion of compressed weights; None where there is
    none of two dimensions."""
    source = node.input_value(1).get_node()
    if source.get_type_name() == "Convert":
        source = source.input_value(0).get_node()
    return source if source.get_type_name() == "Constant" and len(source.get_output_shape(0)) == 2 else None


def _most_sensitive_first(errors: dict[str, float]) -> list[str]:
    """Ties, and what a last bit could turn round, go by name."""
    return sorted(errors, key=lambda name: (-float(f"{errors[name]:.3g}"), name))
