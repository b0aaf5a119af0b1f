"""What DeBERTa's scripted branches become in exported graphs."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stages.building import self_attention, torch_model
from tests.stages import project
from tests.stages.checkpoints import tiny_deberta, tiny_deberta_v1
from tests.stages.project import SLUG

pytestmark = [
    pytest.mark.toolchain,
    pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning"),  # transformers' DeBERTa
]
LENGTHS = (3, 20, 300)


@pytest.mark.parametrize("checkpoint", [tiny_deberta, tiny_deberta_v1])
def test_exported_graphs_hold_no_branches_and_score_as_torch_at_every_length(
    tmp_path: Path, checkpoint: Callable[[Path], Path]
) -> None:
    """Traced at one length, right at shorter and longer ones, by onnxruntime and by OpenVINO."""
    import onnx
    import onnxruntime
    import openvino

    source = checkpoint(tmp_path / "source")
    root = project.make_project(tmp_path / "project", {SLUG: source})
    for stage in ("fetch", "export"):
        project.run_here(root, stage)
    model, built = (
        torch_model.load_model(source, "AutoModelForSequenceClassification"),
        root / "artifacts" / "models" / SLUG,
    )
    graph = built / "variants/export" / "onnx" / "model.onnx"
    ir = openvino.Core().read_model(built / "variants/export" / "openvino" / "openvino_model.xml")
    assert "If" not in {node.op_type for node in onnx.load(str(graph)).graph.node}
    assert "If" not in {node.get_type_name() for node in ir.get_ops()}
    session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    compiled = openvino.Core().compile_model(ir, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    for length in LENGTHS:
        ids = np.random.default_rng(length).integers(4, 200, (2, length))
        given = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        expected = _torch_logits(model, given)
        found = session.run(None, {value.name: given[value.name] for value in session.get_inputs()})[0]
        assert np.abs(found - expected).max() < 1e-5
        assert np.abs(compiled({port.any_name: given[port.any_name] for port in ir.inputs})[0] - expected).max() < 1e-5


MODEL_CLASS = "AutoModelForSequenceClassification"


def test_transformers_has_its_own_functions_back_afterwards(tmp_path: Path) -> None:
    """Also when an export fails."""
    torch_model.load_model(tiny_deberta(tmp_path / "source"), MODEL_CLASS)
    module = sys.modules["transformers.models.deberta_v2.modeling_deberta_v2"]
    before: Any = vars(module)["build_rpos"]

    def export() -> None:
        with self_attention.without_branches():
            assert vars(module)["build_rpos"](1, 2, 3, 4, 5) == 3
            raise RuntimeError("no export")

    with pytest.raises(RuntimeError, match="no export"):
        export()
    assert vars(module)["build_rpos"] is before


def _torch_logits(model: Any, given: dict[str, Any]) -> Any:
    import torch

    with torch.inference_mode():
        return model(**{name: torch.tensor(array) for name, array in given.items()}).logits.numpy()
