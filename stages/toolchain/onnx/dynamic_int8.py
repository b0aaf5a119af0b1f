"""Dynamic int8 of one ONNX graph: what optimum's ORTQuantizer does with a QuantizationConfig, with two more options.

ORTQuantizer (optimum-onnx 0.1.0) has onnxruntime infer the graph's shapes on a copy of the whole model before its own
quantiser, in dynamic mode, infers them once more: at 2.3 GB of weights that is what runs out of memory. It also cannot
pass `MatMulConstBOnly`. So onnxruntime's quantiser is called here, with ORTQuantizer's arguments.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stages.building.recipes import plain
from stages.toolchain.onnx import onnx_graph, sidecars

INTEGER_OPERATORS = ("MatMulInteger", "QLinearMatMul", "ConvInteger", "DynamicQuantizeMatMul", "MatMulIntegerToFloat")
SUBGRAPH_OPERATORS = ("If", "Loop", "Scan", "SequenceMap")
LARGEST_FILE_BYTES = 2**31 - 1  # protobuf's limit
CONST_B_ONLY = "MatMulConstBOnly"


def settings_with(base: Any, changes: Mapping[str, Any]) -> Any:
    """A copy of a QuantizationConfig with fields changed; `nodes_to_exclude` adds to those that are there."""
    from dataclasses import replace

    fields = {name: value for name, value in changes.items() if name != CONST_B_ONLY}
    if "nodes_to_exclude" in fields:
        fields["nodes_to_exclude"] = sorted({*base.nodes_to_exclude, *fields["nodes_to_exclude"]})
    return replace(base, **fields)


def described(settings: Any, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as they stand in a recipe."""
    extra = {CONST_B_ONLY: True} if changes.get(CONST_B_ONLY) else {}
    found: dict[str, Any] = plain(vars(settings))
    return found | extra


def quantise(parent: Path, base: Any, changes: Mapping[str, Any], target: Path) -> tuple[int, tuple[str, ...]]:
    """Write `target` and, where its parent has one, its sidecar. Returns opset and inputs.

    Args:
        base: a QuantizationConfig.
        changes: fields of `base` to replace, and `MatMulConstBOnly`.

    Raises RuntimeError if no node of the result computes with integers.
    """
    import onnx
    from onnxruntime.quantization.onnx_quantizer import ONNXQuantizer

    settings = settings_with(base, changes)
    model = onnx.load(str(parent))
    outside = any(path.name.startswith(f"{parent.name}_") for path in parent.parent.iterdir())
    subgraphs = any(node.op_type in SUBGRAPH_OPERATORS for node in model.graph.node)
    options = {
        "WeightSymmetric": settings.weights_symmetric,
        "ActivationSymmetric": settings.activations_symmetric,
        "EnableSubgraph": subgraphs,
        "ForceSymmetric": settings.activations_symmetric and settings.weights_symmetric,
        "AddQDQPairToWeight": settings.qdq_add_pair_to_weight,
        "DedicatedQDQPair": settings.qdq_dedicated_pair,
        "QDQOpTypePerChannelSupportToAxis": settings.qdq_op_type_per_channel_support_to_axis,
        # The constructor infers shapes itself once it has replaced Gemm nodes.
        "DisableShapeInference": True,
        CONST_B_ONLY: bool(changes.get(CONST_B_ONLY)),
    }
    quantizer = ONNXQuantizer(
        model,
        per_channel=settings.per_channel,
        reduce_range=settings.reduce_range,
        mode=settings.mode,
        static=False,
        weight_qType=settings.weights_dtype,
        activation_qType=settings.activations_dtype,
        tensors_range=None,
        nodes_to_quantize=settings.nodes_to_quantize,
        nodes_to_exclude=settings.nodes_to_exclude,
        op_types_to_quantize=[getattr(kind, "value", kind) for kind in settings.operators_to_quantize],
        extra_options=options,
    )
    del model
    quantizer.quantize_model()
    quantizer.model.save_model_to_file(str(target), use_external_data_format=outside)
    del quantizer
    sidecars.normalise_sidecars(target.parent, target.name)
    graph = onnx_graph.load_graph(target)
    if not any(node.op_type in INTEGER_OPERATORS for node in graph.graph.node):
        raise RuntimeError("nothing was quantised: no node of the graph computes with integers")
    return onnx_graph.opset(graph), onnx_graph.input_names(graph)


def embeddings_and_head(parent: Path) -> list[str]:
    """Names of the nodes that look up embeddings, and of the MatMuls between the pooled token and the logits.

    Gemm nodes have the name that onnxruntime's quantiser gives to the MatMul that it makes of them.
    """
    graph = onnx_graph.load_graph(parent).graph
    weights = {tensor.name for tensor in graph.initializer if len(tensor.dims) > 1}
    makers = {output: node for node in graph.node for output in node.output}
    names = {node.name for node in graph.node if node.op_type == "Gather" and node.input[0] in weights}
    pending, seen = [output.name for output in graph.output], set[str]()
    while pending:
        node = makers.get(pending.pop())
        if node is None or node.name in seen or node.op_type in ("Gather", "Slice", "ReduceSum"):
            continue
        seen.add(node.name)
        if node.op_type in ("MatMul", "Gemm") and node.input[1] in weights:
            names.add(quantised_name(node))
        pending += node.input
    return sorted(name for name in names if name)


def quantised_name(node: Any) -> str:
    """What onnxruntime's quantiser calls a node when it asks which to leave out."""
    return f"{node.name}_MatMul" if node.op_type == "Gemm" else str(node.name)
