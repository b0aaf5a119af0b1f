"""O1 to O4 on graphs whose weights stay on disk, beside onnxruntime's optimiser as optimum calls it."""

import importlib
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from stages.building import torch_model
from stages.building.exported_program import example_inputs
from stages.toolchain.onnx import levels, sidecars
from stages.toolchain.onnx.export import write_graph
from stages.toolchain.onnx.level_settings import fusions_of, level_settings
from tests.stages.checkpoints import tiny_bert, tiny_deberta

pytestmark = pytest.mark.toolchain
MODEL_CLASS = "AutoModelForSequenceClassification"
LEVELS = ("O1", "O2", "O3", "O4")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny checkpoint with `onnx/model.onnx`."""
    folder = tiny_bert(tmp_path_factory.mktemp("optimize") / "source")
    (folder / "onnx").mkdir()
    graph = folder / "onnx" / "model.onnx"
    write_graph(folder, MODEL_CLASS, graph)
    model = onnx.load(str(graph))
    # Something for O1 to remove: onnxruntime hands back a graph that it leaves alone as it was stored, in other bytes.
    made_last = next(node for node in model.graph.node if "logits" in node.output)
    made_last.output[0] = "made_last"
    model.graph.node.append(onnx.helper.make_node("Identity", ["made_last"], ["logits"], "last"))
    onnx.save_model(model, str(graph))
    return folder


@pytest.fixture(scope="module")
def nested(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same of a model whose graph has graphs inside, which torch's exporter wrote before torch.export."""
    import torch

    folder = tiny_deberta(tmp_path_factory.mktemp("nested") / "source")
    (folder / "onnx").mkdir()
    model = torch_model.load_model(folder, MODEL_CLASS)
    inputs = example_inputs(model, folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter is old, and traces Python branches
        torch.onnx.export(
            model,
            (),
            str(folder / "onnx" / "model.onnx"),
            kwargs=inputs,
            dynamo=False,
            input_names=list(inputs),
            output_names=["logits"],
            dynamic_axes={name: {0: "rows", 1: "tokens"} for name in inputs},
        )
    return folder


def optimised(exported: Path, level: str, parent: Path, folder: Path) -> Path:
    """The graph of one level, in a new folder."""
    folder.mkdir()
    settings = level_settings(level, {})
    target = folder / f"model_{level}.onnx"
    fusions = fusions_of(exported)
    assert fusions is not None
    levels.optimize_graph(parent, target, fusions, settings)
    return target


def weights(graph: Path) -> dict[str, Any]:
    """The initializers of a graph, by name."""
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(str(graph)).graph.initializer}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("light_bytes", [levels.LIGHT_BYTES, 1])
def test_a_level_is_byte_for_byte_what_onnxruntime_writes(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, level: str, light_bytes: int
) -> None:
    """Leaving the weights on disk changes nothing, whether small values are in the graph or not.

    The calls are those of optimum's ORTOptimizer.optimize, which does not import beside transformers 5.
    """
    from onnxruntime.transformers.optimizer import optimize_model
    from optimum.onnxruntime import AutoOptimizationConfig

    monkeypatch.setattr(levels, "LIGHT_BYTES", light_bytes)
    parent = exported / "onnx" / "model.onnx"
    settings = AutoOptimizationConfig.with_optimization_level(level, for_gpu=level == "O4")
    optimizer = optimize_model(
        str(parent),
        "bert",
        num_heads=2,
        hidden_size=32,
        opt_level=settings.optimization_level,
        optimization_options=settings.create_fusion_options("bert"),
        use_gpu=settings.optimize_for_gpu,
        only_onnxruntime=not settings.enable_transformers_specific_optimizations,
    )
    if settings.fp16:
        optimizer.convert_float_to_float16(
            use_symbolic_shape_infer=not settings.disable_shape_inference, keep_io_types=True
        )
    (tmp_path / "theirs").mkdir()
    optimizer.save_model_to_file(str(tmp_path / "theirs" / f"model_{level}.onnx"))
    found = optimised(exported, level, parent, tmp_path / "ours")
    assert found.read_bytes() == (tmp_path / "theirs" / found.name).read_bytes()
    assert [path.name for path in found.parent.iterdir()] == [found.name]


@pytest.mark.parametrize("level", LEVELS)
def test_a_parent_with_a_sidecar_gives_a_graph_with_a_sidecar(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, level: str
) -> None:
    """The same nodes and the same weights as from a whole parent, in `<graph>_data`; the parent keeps its own."""
    monkeypatch.setattr(levels, "LIGHT_BYTES", 512)
    monkeypatch.setattr(sidecars, "ALIGNMENT", 512)
    (tmp_path / "parent").mkdir()
    parent = tmp_path / "parent" / "model.onnx"
    model = onnx.load(str(exported / "onnx" / "model.onnx"))
    onnx.save_model(model, str(parent), save_as_external_data=True, location="model.onnx_data", size_threshold=100)
    before = {path.name: path.read_bytes() for path in parent.parent.iterdir()}
    found = optimised(exported, level, parent, tmp_path / "outside")
    whole = optimised(exported, level, exported / "onnx" / "model.onnx", tmp_path / "whole")
    assert sorted(path.name for path in found.parent.iterdir()) == [found.name, f"{found.name}_data"]
    assert {path.name: path.read_bytes() for path in parent.parent.iterdir()} == before
    assert [n.op_type for n in onnx.load(str(found)).graph.node] == [
        n.op_type for n in onnx.load(str(whole)).graph.node
    ]
    expected, actual = weights(whole), weights(found)
    assert {name: array.dtype for name, array in actual.items()} == {n: a.dtype for n, a in expected.items()}
    assert all(np.array_equal(actual[name], expected[name]) for name in expected)


def logits(graph: Path) -> Any:
    """What a graph says to three rows of 20 tokens."""
    session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    rows = np.random.default_rng(0).integers(4, 200, (3, 20))
    given = {"input_ids": rows, "attention_mask": np.ones_like(rows), "token_type_ids": np.zeros_like(rows)}
    return session.run(None, {value.name: given[value.name] for value in session.get_inputs()})[0]


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")  # transformers' DeBERTa does
@pytest.mark.parametrize("level", LEVELS)
def test_a_graph_with_nested_graphs_keeps_its_logits(
    nested: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, level: str
) -> None:
    """DeBERTa's positions are nested graphs; O4 keeps those, and stores its weights in half precision. Symbolic shape
    inference, which takes minutes for a graph of full size, never runs."""
    importlib.import_module("onnxruntime.transformers.optimizer")  # puts the helper's folder on the path

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("symbolic shape inference began")

    helper = importlib.import_module("shape_infer_helper").SymbolicShapeInferenceHelper
    monkeypatch.setattr(helper, "__init__", refuse)
    parent = nested / "onnx" / "model.onnx"
    assert {node.op_type for node in onnx.load(str(parent)).graph.node} & set(levels.CONTROL_FLOW)
    found = optimised(nested, level, parent, tmp_path / "ours")
    assert np.allclose(logits(found), logits(parent), rtol=0, atol=1e-2 if level == "O4" else 1e-3)
    assert [path.name for path in found.parent.iterdir()] == [found.name]
    if level == "O4":
        assert {a.dtype for a in weights(found).values() if a.dtype.kind == "f" and a.size > 100} == {
            np.dtype(np.float16)
        }


def test_a_truncated_sidecar_of_the_parent_is_one_clear_error(exported: Path, tmp_path: Path) -> None:
    """Nothing is built from half the weights."""
    (tmp_path / "parent").mkdir()
    parent = tmp_path / "parent" / "model.onnx"
    model = onnx.load(str(exported / "onnx" / "model.onnx"))
    onnx.save_model(model, str(parent), save_as_external_data=True, location="model.onnx_data", size_threshold=100)
    data = parent.with_name("model.onnx_data")
    data.write_bytes(data.read_bytes()[:-100])
    with pytest.raises(sidecars.SidecarError, match=r"model\.onnx_data is cut off"):
        optimised(exported, "O1", parent, tmp_path / "out")
    assert not any((tmp_path / "out").iterdir())


@pytest.mark.parametrize("model_type", ["eurobert", "gemma"])
@pytest.mark.parametrize("level", ["O1", "O2"])
def test_a_type_that_optimum_does_not_know_gets_the_fusions_of_bert(
    exported: Path, tmp_path: Path, level: str, model_type: str
) -> None:
    """They change what they recognise; the record says so."""
    copy = tmp_path / "source"
    shutil.copytree(exported, copy)
    (copy / "config.json").write_text((copy / "config.json").read_text().replace('"bert"', f'"{model_type}"'))
    parent, target = exported / "onnx" / "model.onnx", tmp_path / "out" / "model.onnx"
    target.parent.mkdir()
    settings, notes = levels.write_level(parent, target, copy, level, {})
    assert settings["enable_transformers_specific_optimizations"] == (level != "O1")
    assert notes == (f"optimum does not know {model_type}: BERT's fusions",)
    assert np.allclose(logits(target), logits(parent), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("model_type", "fusions"), [("eurobert", "bert"), ("gpt2", "gpt2")])
def test_where_fusions_fail_the_general_passes_remain(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model_type: str, fusions: str
) -> None:
    """A fusion that meets a graph it was not written for costs the fusions, not the variant."""
    from onnxruntime.transformers import optimizer

    def broken(*_: object) -> None:
        raise IndexError("list index out of range")

    monkeypatch.setattr(optimizer, "optimize_by_fusion", broken)
    copy = tmp_path / "source"
    shutil.copytree(exported, copy)
    (copy / "config.json").write_text((copy / "config.json").read_text().replace('"bert"', f'"{model_type}"'))
    parent, target = exported / "onnx" / "model.onnx", tmp_path / "out" / "model.onnx"
    target.parent.mkdir()
    _, notes = levels.write_level(parent, target, copy, "O2", {})
    reason = "IndexError: list index out of range"
    assert notes == (f"general passes alone: the fusions for {fusions} failed ({reason})",)
    assert np.allclose(logits(target), logits(parent), rtol=0, atol=1e-5)
