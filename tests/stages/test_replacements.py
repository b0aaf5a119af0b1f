"""Architectures whose own code no exporter can follow: what is traced in its place computes the same."""

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.tiny_checkpoints import write_checkpoint
from stages.building import torch_model
from stages.building.replacements import REPLACEMENTS, for_tracing
from stages.toolchain.onnx.export import write_graph

pytestmark = [pytest.mark.toolchain, pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")]
MODEL_CLASS = "AutoModelForSequenceClassification"
LONG = "Plants make food from light, and at noon the sun is high above the field. " * 2
BATCHES = (
    [("How do plants eat?", LONG), ("Why?", "At noon."), (LONG, "x")],
    [("How do plants eat?", LONG)],
    [("Why?", "At noon.")],
)


@pytest.mark.parametrize("model_type", ["fnet", "longformer", "mbart", "mixtral", "xlnet"])
def test_the_graph_scores_as_torch_for_any_batch_and_length(tmp_path: Path, model_type: str) -> None:
    """Alone and in padded batches; Longformer's texts are longer than its window."""
    import onnxruntime
    import torch

    source = tmp_path / "source"
    write_checkpoint(model_type, source)
    model, tokenizer = torch_model.load_model(source, MODEL_CLASS), torch_model.load_tokenizer(source)
    (tmp_path / "graph").mkdir()
    graph = tmp_path / "graph" / "model.onnx"
    write_graph(source, MODEL_CLASS, graph)
    session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    taken = inspect.signature(model.forward).parameters
    for pairs in BATCHES:
        given: dict[str, Any] = dict(
            tokenizer(
                [query for query, _ in pairs],
                [passage for _, passage in pairs],
                padding=True,
                truncation="longest_first",
                max_length=100,
                return_tensors="np",
            )
        )
        with torch.no_grad():
            tensors = {name: torch.tensor(value) for name, value in given.items() if name in taken}
            expected = model(**tensors).logits.numpy()
        found = session.run(None, {value.name: given[value.name] for value in session.get_inputs()})[0]
        assert np.abs(found - expected).max() < 2e-4


def test_every_replacement_names_a_function_that_transformers_has() -> None:
    """And transformers has its own back afterwards."""
    from importlib import import_module
    from operator import attrgetter

    modules = [(import_module(module), name, replacement) for module, name, replacement in REPLACEMENTS]
    own = [attrgetter(name)(module) for module, name, _ in modules]
    with for_tracing():
        assert [attrgetter(name)(module) for module, name, _ in modules] == [each for _, _, each in modules]
    assert [attrgetter(name)(module) for module, name, _ in modules] == own
