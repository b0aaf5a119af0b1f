"""Static int8 of ONNX graphs: the arithmetic, which layers it takes, and that a score does not move with its batch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from stages.core.errors import RegistryError
from stages.core.variants import row
from stages.fallback.layer_ranking import Batch
from stages.toolchain.onnx import calibrated_int8, int8_presets, onnx_graph
from stages.toolchain.onnx.calibrated_int8 import NO_SMOOTHING, ChannelRange, StaticSettings, settings_with
from stages.toolchain.onnx.linear_layers import groups, linear_layers
from stages.toolchain.onnx.static_recipes import static_recipes

ROW = row("onnx-qint8-static")
SIZES = st.integers(1, 6)
VALUES = st.floats(-100, 100, width=32)
WORDS, CHANNELS = 300, 16


def matrices(rows: int, columns: int) -> st.SearchStrategy[NDArray[np.float32]]:
    """float32 matrices of a shape."""
    return st_numpy.arrays(np.float32, (rows, columns), elements=VALUES)


def write_model(path: Path, *, bias_is_read_twice: bool = False) -> Path:
    """Words to embeddings, a linear layer with large channels, and a head that sees one row per text."""
    rng = np.random.default_rng(0)
    table = rng.normal(size=(WORDS, CHANNELS)).astype(np.float32)
    table[:, 3] *= 40  # an outlier channel
    weights: dict[str, NDArray[Any]] = {
        "table": table,
        "weight": rng.normal(size=(CHANNELS, CHANNELS)).astype(np.float32),
        "bias": rng.normal(size=CHANNELS).astype(np.float32),
        "head": rng.normal(size=(1, CHANNELS)).astype(np.float32),
        "axes": np.array([1], dtype=np.int64),
    }
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["embedded"], name="embed"),
        helper.make_node("MatMul", ["embedded", "weight"], ["product"], name="layer"),
        helper.make_node("Add", ["product", "bias"], ["sum"], name="add"),
        helper.make_node("Tanh", ["product" if bias_is_read_twice else "sum"], ["bent"], name="bend"),
        helper.make_node("Add", ["bent", "sum"], ["both"], name="residual"),
        helper.make_node("ReduceMean", ["both", "axes"], ["pooled"], name="pool", keepdims=0),
        helper.make_node("Gemm", ["pooled", "head"], ["logits"], name="classify", transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("input_ids", onnx.TensorProto.INT64, ["batch", "length"])],
        [helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ["batch", 1])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(path))
    return path


def texts(count: int = 12) -> list[Batch]:
    """One text each, of different lengths."""
    rng = np.random.default_rng(1)
    return [{"input_ids": rng.integers(0, WORDS, size=(1, 2 + i % 5))} for i in range(count)]


def quantised(tmp_path: Path, **changes: Any) -> tuple[Path, Path]:
    """The float graph, and its static int8 form."""
    parent, target = write_model(tmp_path / "float/model.onnx"), tmp_path / "int8/model.onnx"
    target.parent.mkdir()
    (tmp_path / "scratch").mkdir()
    ranges = calibrated_int8.channel_ranges(parent, texts(), tmp_path / "scratch")
    calibrated_int8.quantise(parent, StaticSettings(), ranges, changes, target)
    return parent, target


def run(path: Path, batch: Batch) -> NDArray[np.float32]:
    """The logits of a batch."""
    import onnxruntime as ort

    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["logits"], dict(batch))[0])


def operators(path: Path) -> list[str]:
    """The kinds of a graph's nodes."""
    return [node.op_type for node in onnx_graph.load_graph(path).graph.node]


@given(st.data(), SIZES, SIZES, st.sampled_from([0.3, 0.8, 1.0, NO_SMOOTHING]))
def test_smoothing_leaves_the_product_as_it_is(data: st.DataObject, channels: int, columns: int, alpha: float) -> None:
    """What an activation is divided by, its weight is multiplied by: in float nothing changes but rounding."""
    left, weight = data.draw(matrices(3, channels)), data.draw(matrices(channels, columns))
    factor = calibrated_int8.smoothing(np.abs(left).max(axis=0), [weight], alpha).astype(np.float64)
    assert np.isfinite(factor).all()
    assert (factor > 0).all()
    np.testing.assert_allclose(
        (left / factor) @ (weight * factor[:, None]), left.astype(np.float64) @ weight, atol=1e-6
    )


def test_smoothing_evens_out_a_large_channel() -> None:
    """The channel that is a hundred times larger than the others is a few times larger then."""
    largest = np.array([1, 1, 100], dtype=np.float32)
    factor = calibrated_int8.smoothing(largest, [np.ones((3, 4), dtype=np.float32)], 0.8)
    smooth = largest / factor
    assert smooth.max() / smooth.min() == pytest.approx(100**0.2, rel=1e-4)


@given(VALUES, VALUES)
def test_zero_and_both_ends_of_a_range_are_represented(one: float, other: float) -> None:
    """Zero exactly, the ends to a step."""
    low, high = min(one, other), max(one, other)
    scale, zero = calibrated_int8.activation_scale(low, high)
    assert scale > 0
    for value in (min(low, 0.0), max(high, 0.0)):
        found = (np.clip(np.round(value / scale) + float(zero), 0, 255) - float(zero)) * scale
        assert abs(found - value) <= scale * 1.01


@given(st.data(), SIZES, SIZES, st.booleans(), st.booleans())
def test_a_weight_is_rounded_to_the_nearest_step(
    data: st.DataObject, channels: int, columns: int, per_channel: bool, reduce_range: bool
) -> None:
    """The error is half a step at most; with a reduced range, 7 bits are used."""
    weight = data.draw(matrices(channels, columns))
    settings = StaticSettings(per_channel=per_channel, reduce_range=reduce_range)
    values, scales = calibrated_int8.rounded_weight(weight, settings)
    assert scales.shape == ((columns,) if per_channel else ())
    assert np.abs(values.astype(int)).max() <= (63 if reduce_range else 127)
    assert (np.abs(values * scales.astype(np.float64) - weight) <= scales * 0.501).all()


def test_logits_stay_close_to_the_float_graph(tmp_path: Path) -> None:
    """Also with a channel that is forty times larger than the others."""
    parent, target = quantised(tmp_path)
    found, expected = (np.concatenate([run(path, batch) for batch in texts()]) for path in (target, parent))
    assert np.abs(found - expected).max() < 0.05 * np.ptp(expected)
    assert operators(target).count("MatMulIntegerToFloat") == 1


def test_a_logit_does_not_depend_on_its_batch(tmp_path: Path) -> None:
    """The ranges are constants: a text beside much larger ones gives what it gives alone."""
    _, target = quantised(tmp_path)
    rows = np.concatenate([texts(1)[0]["input_ids"], np.full((1, 2), 7), np.full((1, 2), 9)])
    together = run(target, {"input_ids": rows})
    alone = np.concatenate([run(target, {"input_ids": rows[i : i + 1]}) for i in range(3)])
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-5)


def test_a_layer_that_sees_one_row_per_text_stays_in_float(tmp_path: Path) -> None:
    """Its error would go straight into the score, and it costs nothing."""
    _, target = quantised(tmp_path)
    assert "Gemm" in operators(target)


def test_an_excluded_layer_stays_in_float(tmp_path: Path) -> None:
    """By the name that the ranking of layers gives; with it, no layer is left here."""
    with pytest.raises(RuntimeError, match="nothing was quantised"):
        quantised(tmp_path, nodes_to_exclude=["layer"])


def test_embeddings_stay_in_float_where_a_recipe_says_so(tmp_path: Path) -> None:
    """The table is then not converted."""
    _, target = quantised(tmp_path, operators_to_quantize=["MatMul", "Gemm"])
    assert "Cast" not in operators(target)


def test_a_graph_without_the_float_weights_is_written(tmp_path: Path) -> None:
    """What was replaced is gone from the file."""
    _, target = quantised(tmp_path)
    names = {tensor.name for tensor in onnx_graph.load_graph(target).graph.initializer}
    assert not names & {"table", "weight"}
    assert {"table_quantised", "weight_quantised", "head"} <= names


def test_the_bias_behind_a_product_belongs_to_the_layer(tmp_path: Path) -> None:
    """One kernel computes both."""
    layer = linear_layers(onnx_graph.load_graph(write_model(tmp_path / "model.onnx")).graph)[0]
    assert (layer.bias, layer.output) == ("bias", "sum")


def test_a_product_that_is_read_twice_keeps_its_name(tmp_path: Path) -> None:
    """The bias is then added behind it, as before."""
    model = write_model(tmp_path / "model.onnx", bias_is_read_twice=True)
    layer = linear_layers(onnx_graph.load_graph(model).graph)[0]
    assert (layer.bias, layer.output) == (None, "product")


def gemm(weight: str, left: str = "x", **attributes: Any) -> Any:
    """A Gemm of 2-D constants."""
    return helper.make_node("Gemm", [left, weight], [f"{left}_{weight}"], name=f"{left}_{weight}", **attributes)


def layers_of(nodes: Sequence[Any]) -> list[Any]:
    """The linear layers of a graph with two weights."""
    weights = [numpy_helper.from_array(np.ones((2, 2), dtype=np.float32), name) for name in ("a", "b")]
    return linear_layers(helper.make_graph(nodes, "layers", [], [], weights))


@pytest.mark.parametrize("attributes", [{"alpha": 2.0}, {"transA": 1}])
def test_a_gemm_that_is_more_than_a_product_is_no_linear_layer(attributes: dict[str, Any]) -> None:
    """It is left as it is."""
    assert layers_of([gemm("a", **attributes)]) == []


def test_layers_that_share_a_weight_or_a_tensor_are_one_group() -> None:
    """ALBERT's layers share weights, and a smoothed weight has one factor per channel."""
    found = groups(layers_of([gemm("a", "x"), gemm("b", "y"), gemm("a", "y"), gemm("b", "z")]))
    assert [len(group) for group in found] == [4]


def test_layers_that_share_nothing_are_apart() -> None:
    """Each has factors of its own."""
    assert [len(group) for group in groups(layers_of([gemm("a", "x"), gemm("b", "y")]))] == [1, 1]


def test_ranges_are_of_every_channel_over_all_texts(tmp_path: Path) -> None:
    """Not of the tensor as a whole, and not of one text."""
    parent = write_model(tmp_path / "float/model.onnx")
    (tmp_path / "scratch").mkdir()
    found = calibrated_int8.channel_ranges(parent, texts(), tmp_path / "scratch")
    table = {t.name: numpy_helper.to_array(t) for t in onnx.load(str(parent)).graph.initializer}["table"]
    words = np.unique(np.concatenate([each["input_ids"][0] for each in texts()]))
    np.testing.assert_array_equal(found["embedded"].high, table[words].max(axis=0))
    assert (found["embedded"].rows, found["pooled"].rows) == (6, 1)


def test_a_range_that_is_not_finite_leaves_the_layer_in_float(tmp_path: Path) -> None:
    """A scale cannot be made from it."""
    parent, infinite = write_model(tmp_path / "model.onnx"), np.full(CHANNELS, np.inf, dtype=np.float32)
    with pytest.raises(RuntimeError, match="nothing was quantised"):
        calibrated_int8.quantise(
            parent, StaticSettings(), {"embedded": ChannelRange(-infinite, infinite, 5)}, {}, tmp_path / "int8.onnx"
        )


@pytest.mark.parametrize(
    ("overrides", "problem"),
    [
        ({"speed": 3}, "recipes.onnx-qint8-static.speed: unknown field; known: nodes_to_exclude"),
        ({"per_channel": 1}, "per_channel: expected a bool, found 1"),
        ({"smooth_quant_alpha": 0}, "smooth_quant_alpha: expected a number above 0 and at most 1, or -1, found 0"),
        ({"operators_to_quantize": ["Conv"]}, "operators_to_quantize: expected one of Gather, Gemm, MatMul"),
        ({"nodes_to_exclude": [1]}, "nodes_to_exclude: Expected `str`, got `int`"),
    ],
)
def test_a_recipe_that_does_not_fit_is_refused(overrides: dict[str, Any], problem: str) -> None:
    """With the key path and what was expected."""
    with pytest.raises(RegistryError) as caught:
        int8_presets.check_overrides(ROW, overrides)
    assert problem in str(caught.value)


def test_a_recipe_that_fits_is_taken() -> None:
    """Every field at once."""
    overrides = {"per_channel": False, "smooth_quant_alpha": -1, "nodes_to_exclude": ["layer"]}
    found = calibrated_int8.settings_of(ROW, overrides)
    assert (found.per_channel, found.smooth_quant_alpha, found.nodes_to_exclude) == (False, -1, ("layer",))


def test_the_first_fallback_recipes_cost_no_speed() -> None:
    """The plain one, then other shares of smoothing; a recipe's own settings stay where a step does not set them."""
    settings = settings_with(StaticSettings(), {"nodes_to_exclude": ["layer"]})
    recipes = static_recipes(Path("unused"), settings, None)
    found = [next(recipes) for _ in range(5)]
    assert [each.name for each in found][:2] == ["plain", "smooth-quant-0.65"]
    assert all(each.settings["nodes_to_exclude"] == ["layer"] for each in found)
    assert found[0].settings["smooth_quant_alpha"] == 0.8
