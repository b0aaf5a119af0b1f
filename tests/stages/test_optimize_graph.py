"""O1 to O4 on graphs whose weights stay on disk, beside optimum's own optimiser."""

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
from stages.toolchain.onnx import levels, sidecars
from tests.stages.checkpoints import tiny_bert, tiny_deberta

pytestmark = pytest.mark.toolchain
LEVELS = ("O1", "O2", "O3", "O4")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny checkpoint with `onnx/model.onnx`."""
    return export(tiny_bert(tmp_path_factory.mktemp("optimize") / "source"))


@pytest.fixture(scope="module")
def nested(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same of a model whose graph has graphs inside."""
    return export(tiny_deberta(tmp_path_factory.mktemp("nested") / "source"))


def export(folder: Path) -> Path:
    """Add `onnx/model.onnx` to a checkpoint."""
    from optimum.exporters.onnx import onnx_export_from_model

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter traces Python branches, and says so
        onnx_export_from_model(
            torch_model.load_model(folder, "AutoModelForSequenceClassification"),
            output=folder / "onnx",
            task="text-classification",
            do_validation=False,
            no_post_process=True,
            device="cpu",
        )
    for path in (folder / "onnx").iterdir():
        if path.name != "model.onnx":
            path.unlink()
    return folder


def optimised(exported: Path, level: str, parent: Path, folder: Path) -> Path:
    """The graph of one level, in a new folder."""
    from optimum.onnxruntime import AutoOptimizationConfig
    from transformers import AutoConfig

    folder.mkdir()
    settings = AutoOptimizationConfig.with_optimization_level(level, for_gpu=level == "O4")
    target = folder / f"model_{level}.onnx"
    levels.optimize_graph(parent, target, AutoConfig.from_pretrained(exported), settings)
    return target


def weights(graph: Path) -> dict[str, Any]:
    """The initializers of a graph, by name."""
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(str(graph)).graph.initializer}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("light_bytes", [levels.LIGHT_BYTES, 1])
def test_a_level_is_byte_for_byte_what_optimum_writes(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, level: str, light_bytes: int
) -> None:
    """Leaving the weights on disk changes nothing, whether small values are in the graph or not."""
    from optimum.onnxruntime import AutoOptimizationConfig, ORTOptimizer
    from transformers import AutoConfig

    monkeypatch.setattr(levels, "LIGHT_BYTES", light_bytes)
    parent = exported / "onnx" / "model.onnx"
    settings = AutoOptimizationConfig.with_optimization_level(level, for_gpu=level == "O4")
    optimizer = ORTOptimizer([parent], config=AutoConfig.from_pretrained(exported), from_ortmodel=True)
    optimizer.optimize(settings, save_dir=tmp_path / "optimum", file_suffix=level)
    found = optimised(exported, level, parent, tmp_path / "ours")
    assert found.read_bytes() == (tmp_path / "optimum" / found.name).read_bytes()
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
    given = {"input_ids": rows, "attention_mask": np.ones_like(rows)}
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


def test_an_unknown_architecture_is_unsupported(exported: Path, tmp_path: Path) -> None:
    """It is recorded as such, with the name of the model type."""
    copy = tmp_path / "source"
    shutil.copytree(exported, copy)
    (copy / "config.json").write_text((copy / "config.json").read_text().replace('"bert"', '"convbert"'))
    with pytest.raises(NotImplementedError, match="convbert"):
        optimised(copy, "O1", exported / "onnx" / "model.onnx", tmp_path / "out")
