"""Architectures whose own code no exporter can follow: what is traced in its place computes the same."""

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.tiny_checkpoints import write_checkpoint
from stages.building import torch_model
from stages.building.exported_program import UntraceableError, example_inputs, exported_program
from stages.building.replacements import REPLACEMENTS, for_tracing
from stages.registry import checkpoint
from stages.toolchain.onnx.export import write_graph

pytestmark = [pytest.mark.toolchain, pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")]
MODEL_CLASS = "AutoModelForSequenceClassification"
MODEL_TYPES = ("deepseek_v2", "fnet", "funnel", "helium", "longformer", "mbart", "minimax", "mixtral", "xlnet")
LONG = "Plants make food from light, and at noon the sun is high above the field. " * 2
BATCHES = (
    [("How do plants eat?", LONG), ("Why?", "At noon."), (LONG, "x")],
    [("How do plants eat?", LONG)],
    [("Why?", "At noon.")],
)


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_the_graph_scores_as_torch_for_any_batch_and_length(tmp_path: Path, model_type: str) -> None:
    """Alone and in padded batches; Longformer's and MiniMax's texts are longer than a window or block."""
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


def test_a_big_bird_scores_as_torch_up_to_its_length(tmp_path: Path) -> None:
    """It is cut to the texts to which it attends as a whole: of longer ones transformers leaves blocks out, unless it
    has seen a short one before."""
    import onnxruntime
    import torch

    source = tmp_path / "source"
    write_checkpoint("big_bird", source)
    limit = checkpoint.inspect(source).max_length
    assert limit == 28  # (5 + 2 x 1 random block) x 4 tokens
    (tmp_path / "graph").mkdir()
    graph = tmp_path / "graph" / "model.onnx"
    write_graph(source, MODEL_CLASS, graph)
    session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])

    def difference(length: int) -> float:
        ids = torch.randint(5, 400, (2, length), generator=torch.Generator().manual_seed(0))
        given = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        with torch.no_grad():
            expected = torch_model.load_model(source, MODEL_CLASS)(**given).logits.numpy()
        names = [value.name for value in session.get_inputs()]
        types = {"token_type_ids": torch.zeros_like(ids)}
        found = session.run(None, {name: (given | types)[name].numpy() for name in names})[0]
        return float(np.abs(found - expected).max())

    assert difference(limit) < 2e-4
    assert difference(limit + 8) > 1e-2


def test_every_replacement_names_a_function_that_transformers_has() -> None:
    """And transformers has its own back afterwards."""
    from importlib import import_module
    from operator import attrgetter

    modules = [(import_module(module), name, replacement) for module, name, replacement in REPLACEMENTS]
    own = [attrgetter(name)(module) for module, name, _ in modules]
    with for_tracing():
        assert [attrgetter(name)(module) for module, name, _ in modules] == [each for _, _, each in modules]
    assert [attrgetter(name)(module) for module, name, _ in modules] == own


@pytest.mark.parametrize(
    ("model_type", "obstacle"),
    [("jamba", "it depends on what a text holds"), ("zamba", "it fixes the number or the length of texts")],
)
def test_what_cannot_be_traced_is_said_in_plain_words(tmp_path: Path, model_type: str, obstacle: str) -> None:
    """Not in torch's, which name symbols and guards."""
    source = tmp_path / "source"
    write_checkpoint(model_type, source)
    model = torch_model.load_model(source, MODEL_CLASS)
    with pytest.raises(UntraceableError) as error:
        exported_program(model, example_inputs(model, source))
    assert str(error.value) == f"torch.export cannot follow the model's code for any batch and length: {obstacle}"
