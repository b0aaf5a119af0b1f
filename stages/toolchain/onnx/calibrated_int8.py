"""Static int8 of one ONNX graph: its linear layers and embeddings, with ranges learnt from calibration pairs.

A linear layer becomes QuantizeLinear and MatMulIntegerToFloat, onnxruntime's own fused kernel: uint8 activations with
one scale for the tensor, int8 weights with one scale per column, a float result with the bias added. No range is
computed from the batch, so that a score does not depend on what else is in it, as it does with dynamic int8.

Activations of transformers have channels that are far larger than the others, which one scale cannot hold. They are
divided by a factor per channel, and the weights multiplied by it: SmoothQuant (https://arxiv.org/abs/2211.10438,
equation 4). onnxruntime's own quantiser rounds the results of layers as well, which costs accuracy and saves no time
(benchmarks/results/static_int8.md), so it is not used here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.building.recipes import check_kinds, check_recipe, check_words, plain, refused
from stages.core.variants import VariantRow
from stages.fallback.layer_ranking import Batch
from stages.toolchain.onnx import onnx_graph, sidecars
from stages.toolchain.onnx.dynamic_int8 import quantised_name
from stages.toolchain.onnx.integer_layers import IntegerGraph
from stages.toolchain.onnx.layer_inputs import layer_inputs
from stages.toolchain.onnx.linear_layers import Linear, groups, linear_layers

Array = NDArray[np.float32]
NO_SMOOTHING = -1.0
STEPS = 255  # of uint8
LARGEST_WEIGHT, LARGEST_REDUCED_WEIGHT = 127, 63  # 8 and 7 bits
# A channel that stayed at nothing while calibrating is taken to reach this share of the largest one's.
LEAST_CHANNEL = 1e-3
LEAST_SCALE = 1e-12  # where a tensor is all zeros
LEAST_TABLE_ROWS = 256  # smaller tables of embeddings have nothing to save
OPERATORS = ("Gather", "Gemm", "MatMul")


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticSettings:
    """What a recipe may set. The first four are fields of optimum's QuantizationConfig; `reduce_range` rounds weights
    to 7 bits, for CPUs whose 8-bit products saturate (AVX2 without VNNI). `smooth_quant_alpha` is how much of the
    channels' differences moves into the weights, above 0 and at most 1; -1 leaves them, as in optimum-intel.
    """

    per_channel: bool = True
    reduce_range: bool = False
    nodes_to_exclude: tuple[str, ...] = ()
    operators_to_quantize: tuple[str, ...] = OPERATORS
    smooth_quant_alpha: float = 0.8


@dataclass(frozen=True, slots=True)
class ChannelRange:
    """The least and greatest value of each channel of a tensor, `[channels]`; `rows` are the most of one text."""

    low: Array
    high: Array
    rows: int


def settings_of(row: VariantRow, overrides: Mapping[str, Any]) -> StaticSettings:
    """The settings of a variant. Raises RegistryError for an override that does not fit."""
    defaults = {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(StaticSettings()).items()}
    check_recipe(row.id, overrides, defaults)
    kinds = {"nodes_to_exclude": list[str], "operators_to_quantize": list[str]}
    check_kinds(row.id, overrides, kinds)
    check_words(row.id, overrides, {"operators_to_quantize": OPERATORS})
    alpha = overrides.get("smooth_quant_alpha", StaticSettings().smooth_quant_alpha)
    if alpha != NO_SMOOTHING and not 0 < alpha <= 1:
        raise refused(row.id, "smooth_quant_alpha", f"expected a number above 0 and at most 1, or -1, found {alpha}")
    return settings_with(StaticSettings(), overrides)


def settings_with(base: StaticSettings, changes: Mapping[str, Any]) -> StaticSettings:
    """A copy with fields changed; `nodes_to_exclude` adds to those that are there."""
    changed: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in changes.items()
    }
    if "nodes_to_exclude" in changed:
        changed["nodes_to_exclude"] = tuple(sorted({*base.nodes_to_exclude, *changed["nodes_to_exclude"]}))
    return replace(base, **changed)


def described(settings: StaticSettings) -> dict[str, Any]:
    """Settings as they stand in a recipe."""
    return {field.name: plain(getattr(settings, field.name)) for field in fields(settings)}


def channel_ranges(parent: Path, batches: Sequence[Batch], scratch: Path) -> dict[str, ChannelRange]:
    """The range of every tensor that is the input of a linear layer, by name. Each batch is one text, without padding:
    what is computed for padding must not widen a range."""
    names = sorted({layer.left for layer in linear_layers(onnx_graph.load_graph(parent).graph)})
    found: dict[str, ChannelRange] = {}
    for tensors in layer_inputs(parent, names, batches, scratch):
        for name, tensor in tensors.items():
            rows = tensor.reshape(-1, tensor.shape[-1])
            here = ChannelRange(rows.min(axis=0), rows.max(axis=0), len(rows))
            known = found.get(name, here)
            found[name] = ChannelRange(
                np.minimum(known.low, here.low), np.maximum(known.high, here.high), max(known.rows, here.rows)
            )
    return found


def quantise(
    parent: Path,
    base: StaticSettings,
    ranges: Mapping[str, ChannelRange],
    changes: Mapping[str, Any],
    target: Path,
) -> tuple[int, tuple[str, ...]]:
    """Write `target` and, where its parent has one, its sidecar. Returns opset and inputs. `changes` replaces
    fields of `base`.

    Layers that see one row per text (pooler and classifier) stay in float: they cost nothing, and their error would go
    straight into the score. Raises RuntimeError when no layer is left.
    """
    import onnx

    settings = settings_with(base, changes)
    model = onnx.load(str(parent))
    outside = any(path.name.startswith(f"{parent.name}_") for path in parent.parent.iterdir())
    rewritten = IntegerGraph(model.graph)
    chosen = [layer for layer in linear_layers(model.graph) if _is_chosen(layer, settings, ranges)]
    for group in groups(chosen):
        _quantise_group(rewritten, group, settings, ranges)
    if not chosen:
        raise RuntimeError("nothing was quantised: no linear layer of the graph sees the tokens of a text")
    if "Gather" in settings.operators_to_quantize:
        for node in list(model.graph.node):
            _quantise_table(rewritten, node, settings)
    rewritten.finish(model)
    onnx.save_model(
        model,
        str(target),
        save_as_external_data=outside,
        location=sidecars.sidecar_name(target.name),
    )
    sidecars.normalise_sidecars(target.parent, target.name)
    graph = onnx_graph.load_graph(target)
    return onnx_graph.opset(graph), onnx_graph.input_names(graph)


def smoothing(largest: Array, weights: Sequence[Array], alpha: float) -> Array:
    """A factor per channel, `[channels]`: activations are divided by it, weights multiplied. Their geometric mean is 1.

    Args:
        largest: the greatest absolute value of each channel.
        weights: of the layers that share the tensor, each `[channels, columns]`.
    """
    if alpha == NO_SMOOTHING:
        return np.ones_like(largest)
    activation = np.maximum(largest, max(LEAST_CHANNEL * float(largest.max()), 1e-12))
    weight = np.max([np.abs(each).max(axis=1) for each in weights], axis=0)
    weight = np.maximum(weight, max(LEAST_CHANNEL * float(weight.max()), 1e-12))
    logarithm = alpha * np.log(activation) - (1 - alpha) * np.log(weight)
    found: Array = np.exp(logarithm - logarithm.mean()).astype(np.float32)
    return found


def activation_scale(low: float, high: float) -> tuple[np.float32, np.uint8]:
    """Scale and zero point of uint8 for values from `low` to `high`; zero itself is represented exactly."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = np.float32(max((high - low) / STEPS, LEAST_SCALE))
    return scale, np.uint8(np.clip(np.round(-low / scale), 0, STEPS))


def rounded_weight(weight: Array, settings: StaticSettings) -> tuple[NDArray[np.int8], Array]:
    """int8 weights `[channels, columns]` and their scales, `[columns]` or, not per channel, `[]`."""
    most = LARGEST_REDUCED_WEIGHT if settings.reduce_range else LARGEST_WEIGHT
    size = np.abs(weight).max(axis=0) if settings.per_channel else np.abs(weight).max()
    scale = (np.maximum(size, 1e-12) / most).astype(np.float32)
    return np.clip(np.round(weight / scale), -most, most).astype(np.int8), scale


def _is_chosen(layer: Linear, settings: StaticSettings, ranges: Mapping[str, ChannelRange]) -> bool:
    known = ranges.get(layer.left)
    return (
        layer.node.op_type in settings.operators_to_quantize
        and quantised_name(layer.node) not in settings.nodes_to_exclude
        and known is not None
        and known.rows > 1
        and bool(np.isfinite(known.low).all() and np.isfinite(known.high).all())
    )


def _quantise_group(
    graph: IntegerGraph, group: Sequence[Linear], settings: StaticSettings, ranges: Mapping[str, ChannelRange]
) -> None:
    """Layers that share tensors or weights share their factors."""
    weights = {(each.weight, each.transposed): graph.weight(each) for each in group}
    lefts = sorted({each.left for each in group})
    largest = np.max([np.maximum(-ranges[left].low, ranges[left].high) for left in lefts], axis=0)
    factor = smoothing(np.maximum(largest, 0), list(weights.values()), settings.smooth_quant_alpha)
    smooth = settings.smooth_quant_alpha != NO_SMOOTHING
    for left in lefts:
        known = ranges[left]
        scale, zero = activation_scale(float((known.low / factor).min()), float((known.high / factor).max()))
        graph.quantise_tensor(left, (1 / factor).astype(np.float32) if smooth else None, scale, zero)
    for (name, transposed), weight in weights.items():
        values, scales = rounded_weight(weight * factor[:, None] if smooth else weight, settings)
        graph.add_weight(name, transposed, values, scales)
    for layer in group:
        graph.replace_layer(layer)


def _quantise_table(graph: IntegerGraph, node: Any, settings: StaticSettings) -> None:
    """Embeddings: rows of int8, looked up and then converted, since a product is not what they are for."""
    table = graph.table(node)
    if table is None or len(table) < LEAST_TABLE_ROWS or node.name in settings.nodes_to_exclude:
        return
    values, scale = rounded_weight(table, replace(settings, reduce_range=False))
    graph.replace_table(node, values, scale)
