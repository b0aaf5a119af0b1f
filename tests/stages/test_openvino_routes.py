"""How an OpenVINO IR is made of a checkpoint: by optimum-intel, else by OpenVINO's own conversions."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from stages.building.torch_model import load_model, load_tokenizer, torch_logits
from stages.core import paths
from stages.core.variants import row
from stages.records.model_spec import ModelSpec, load_spec
from stages.toolchain.openvino import export
from stages.toolchain.openvino.ir import input_names
from tests.stages.project import SLUG

pytestmark = [
    pytest.mark.toolchain,
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
    pytest.mark.filterwarnings("ignore:.torch.jit.trace\\w*. is deprecated:DeprecationWarning"),  # OpenVINO's converter
]
PAIRS = [("how do plants eat", "plants make food from light"), ("why", "at noon the sun is high above the field")]


@pytest.fixture
def spec(tmp_path: Path, proven: Path, monkeypatch: pytest.MonkeyPatch) -> ModelSpec:
    """Of a checkpoint to change, in the working directory."""
    shutil.copytree(
        proven / "artifacts" / "models" / SLUG / "source", tmp_path / "artifacts" / "models" / SLUG / "source"
    )
    shutil.copyfile(proven / paths.spec(SLUG), tmp_path / paths.spec(SLUG))
    monkeypatch.chdir(tmp_path)
    return load_spec(SLUG)


def made(spec: ModelSpec, folder: Path) -> Any:
    """The record of the IR in `folder`, whose logits must be torch's."""
    folder.mkdir()
    built = export.export(spec, row("openvino"), folder, {})
    assert np.allclose(openvino_logits(spec, folder / "openvino_model.xml"), torch_rows(spec), rtol=0, atol=1e-4)
    return built


def torch_rows(spec: ModelSpec) -> Any:
    """What torch returns for PAIRS."""
    source = paths.source(spec.slug)
    return torch_logits(load_model(source, spec.model_class), load_tokenizer(source), PAIRS, 128, 1)


def openvino_logits(spec: ModelSpec, graph: Path) -> Any:
    """What an IR returns for PAIRS."""
    import openvino

    model = openvino.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    tokenizer, names = load_tokenizer(paths.source(spec.slug)), input_names(graph)
    rows = [tokenizer([query], [passage], return_tensors="np") for query, passage in PAIRS]
    return np.concatenate([model({name: encoded[name] for name in names})[0] for encoded in rows])


def test_optimum_intel_is_the_first_route(spec: ModelSpec, tmp_path: Path) -> None:
    """Where it knows the type and lists the inputs that the model is given."""
    built = made(spec, tmp_path / "out")
    assert built.recipe["route"] == "optimum-intel"
    assert built.notes == ()


def test_an_ir_with_inputs_that_the_model_is_not_given_is_not_used(spec: ModelSpec, tmp_path: Path) -> None:
    """optimum-intel's BERT takes token types; where the tokenizer returns none, all are of type 0."""
    path = paths.source(SLUG) / "tokenizer_config.json"
    settings = json.loads(path.read_text())
    path.write_text(json.dumps({**settings, "model_input_names": ["input_ids", "attention_mask"]}))
    built = made(spec, tmp_path / "out")
    assert built.recipe["route"] == "torch.export"
    assert built.notes == (
        "not by optimum-intel: it takes attention_mask, input_ids, token_type_ids; "
        "the model is given attention_mask, input_ids",
    )
    assert sorted(built.inputs) == ["attention_mask", "input_ids"]


def test_the_onnx_graph_is_the_last_route(spec: ModelSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the routes before it raise; each reason is kept."""
    for name in ("optimum-intel", "torch.export"):
        monkeypatch.setitem(export.ROUTES, name, _broken)
    built = made(spec, tmp_path / "out")
    assert built.recipe["route"] == "ONNX"
    assert built.notes == (
        "not by optimum-intel: OSError: not known",
        "not by torch.export: OSError: not known",
    )


def test_an_ir_that_computes_something_else_is_not_used(
    spec: ModelSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What OpenVINO's own conversion wrote is compared with torch."""

    def other(model: Any, *arguments: Any) -> None:
        own = model.classifier.weight.data.clone()
        model.classifier.weight.data *= 2
        try:
            by_torch(model, *arguments)
        finally:
            model.classifier.weight.data = own

    by_torch = export.ROUTES["torch.export"]
    monkeypatch.setitem(export.ROUTES, "optimum-intel", _broken)
    monkeypatch.setitem(export.ROUTES, "torch.export", other)
    built = made(spec, tmp_path / "out")
    assert built.recipe["route"] == "ONNX"
    assert built.notes[1].startswith("not by torch.export: its logits differ from torch's by up to ")


def test_every_reason_is_told_where_no_route_is_left(
    spec: ModelSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one line."""
    for name in export.ROUTES:
        monkeypatch.setitem(export.ROUTES, name, _broken)
    reasons = [f"not by {name}: OSError: not known" for name in export.ROUTES]
    with pytest.raises(RuntimeError, match="; ".join(reasons)):
        export.export(replace(spec), row("openvino"), tmp_path, {})


def _broken(*_: object) -> None:
    raise OSError("not known\nand a second line")
