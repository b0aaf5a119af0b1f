"""Models of several modules, as sentence-transformers 5.4 and later save them: built, published, and loaded there."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import artificer
from stages.building import torch_model
from stages.records.pairs import read_pairs
from tests.stages import project
from tests.stages.checkpoints import assert_add_refuses, edit_config, tiny_bert, tiny_modernbert, write_json
from tests.stages.conftest import Stages
from tests.stages.test_heads import publish, published

pytestmark = pytest.mark.toolchain
STAGES = ("fetch", "data", "reference", "export", "optimize", "quantize_onnx", "parity")
VARIANTS = ["onnx", "onnx-O2", "onnx-quint8-avx2", "openvino"]
KINDS = {"ettin": "text-ranking", "mean": "text-classification"}
OPENVINO = {"file_name": "openvino/openvino_model.xml", "ov_config": {"INFERENCE_PRECISION_HINT": "f32"}}


def composed(folder: Path, encoder: Path, pooling: str, scores: int = 1) -> Path:
    """A model of sentence-transformers' own modules: an encoder, pooling, and layers to that many scores."""
    import torch
    from sentence_transformers import CrossEncoder
    from sentence_transformers.base.modules import Dense, Transformer
    from sentence_transformers.sentence_transformer.modules import LayerNorm, Pooling

    torch.manual_seed(3)
    transformer = Transformer(str(encoder), transformer_task="feature-extraction")
    hidden = Dense(32, 32, bias=False, activation_function=torch.nn.GELU())
    last = Dense(32, scores, activation_function=torch.nn.Identity(), module_output_name="scores")
    torch.nn.init.normal_(last.linear.weight, std=0.5)
    activation = torch.nn.Identity() if scores == 1 else torch.nn.Sigmoid()
    modules = [transformer, Pooling(32, pooling), hidden, LayerNorm(32), last]
    CrossEncoder(modules=modules, device="cpu", activation_fn=activation).save_pretrained(str(folder))
    return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with two of them, built and published: as Ettin's rerankers are, and one of several labels."""
    made = tmp_path_factory.mktemp("checkpoints")
    checkpoints = {
        "ettin": composed(made / "ettin", tiny_modernbert(made / "modernbert", positions=512), "cls"),
        "mean": composed(made / "mean", tiny_bert(made / "bert"), "mean", scores=3),
    }
    root = tmp_path_factory.mktemp("composed") / "project"
    entries = {slug: {"task": task, "variants": {"include": VARIANTS}} for slug, task in KINDS.items()}
    project.make_project(root, checkpoints, **entries)
    for slug in checkpoints:
        project.run_here(root, *STAGES, "evaluate", slug=slug)
        publish(root, slug)
    return root


def pairs(root: Path, slug: str) -> list[tuple[str, str]]:
    """The evaluation pairs."""
    found = read_pairs(root / "artifacts/models" / slug / "evaluation.jsonl").pairs
    return [(pair.query, pair.passage) for pair in found]


def cross_encoder(folder: Path, **options: Any) -> Any:
    """The model as a user loads it."""
    from sentence_transformers import CrossEncoder

    return CrossEncoder(str(folder), device="cpu", local_files_only=True, **options)


@pytest.mark.parametrize("slug", KINDS)
def test_every_variant_computes_the_composition(models: Path, slug: str) -> None:
    """ONNX, its optimised and quantised graphs, and OpenVINO."""
    _, manifest = published(models, slug)
    assert {variant.id: variant.reason for variant in manifest.variants} == dict.fromkeys(VARIANTS)
    assert manifest.architecture.endswith("Model + Pooling + Dense + LayerNorm + Dense")
    assert (manifest.variant("onnx").parity[0].metrics["score_max_abs"] or 0) < 1e-5


@pytest.mark.parametrize("slug", KINDS)
@pytest.mark.parametrize("variant", ["onnx", "openvino"])
def test_the_runtime_returns_the_scores_of_sentence_transformers(models: Path, slug: str, variant: str) -> None:
    """CrossEncoder on the source, with its own modules and activation."""
    folder, _ = published(models, slug)
    expected = cross_encoder(models / "checkpoints" / slug).predict(pairs(models, slug))
    with artificer.load(folder, variant=variant) as model:
        np.testing.assert_allclose(model.predict(pairs(models, slug)), expected, atol=1e-5)
    assert np.ptp(expected) > 0.01


@pytest.mark.parametrize("slug", KINDS)
def test_the_package_loads_in_sentence_transformers(models: Path, slug: str) -> None:
    """Its OpenVINO backend takes the graph for a classifier, as the published files say; the scores are equal."""
    folder, manifest = published(models, slug)
    assert set(manifest.rewritten) >= {"modules.json", "sentence_bert_config.json", "config.json"}
    expected = cross_encoder(models / "checkpoints" / slug).predict(pairs(models, slug))
    found = cross_encoder(folder, backend="openvino", model_kwargs=dict(OPENVINO)).predict(pairs(models, slug))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_torch_in_half_precision_computes_the_composition(models: Path) -> None:
    """The benchmark times it beside the variants."""
    import torch

    source = models / "checkpoints" / "ettin"
    model = torch_model.load_model(source, "AutoModelForSequenceClassification", torch.bfloat16)
    tokenizer = torch_model.load_tokenizer(source)
    found = torch_model.torch_logits(model, tokenizer, pairs(models, "ettin")[:8], 128, 8)
    expected = cross_encoder(source).predict(pairs(models, "ettin")[:8])
    np.testing.assert_allclose(found[:, 0], expected, atol=0.1)


@pytest.fixture
def folder(root: Path, models: Path) -> Path:
    """A checkpoint of several modules inside the project, for a test to spoil."""
    return shutil.copytree(models / "checkpoints" / "ettin", root / "checkpoints" / project.SLUG)


def test_a_module_of_an_unknown_kind_is_named(folder: Path, stages: Stages) -> None:
    """Nothing of it is built."""
    modules = project.read_json(folder / "modules.json")
    modules[3]["type"] = "sentence_transformers.sentence_transformer.modules.lstm.LSTM"
    write_json(folder / "modules.json", modules)
    assert_add_refuses(stages, "LSTM is not known. The modules are: Transformer, Pooling, Dense, LSTM, Dense.")


def test_pickled_weights_of_a_module_are_refused(folder: Path, stages: Stages) -> None:
    """As of every part of a checkpoint."""
    (folder / "2_Dense" / "model.safetensors").rename(folder / "2_Dense" / "pytorch_model.bin")
    assert_add_refuses(stages, "2_Dense: expected model.safetensors, found no weights, or pickled ones")


def test_an_activation_that_is_not_torchs_is_refused(folder: Path, stages: Stages) -> None:
    """sentence-transformers would take another one in its place, or run code."""
    edit_config(folder / "2_Dense", activation_function="acme.Evil")
    assert_add_refuses(stages, "activation_function: expected a class of torch.nn.modules, found 'acme.Evil'.")


def test_a_head_that_returns_no_scores_is_refused(folder: Path, stages: Stages) -> None:
    """It is an embedding model."""
    edit_config(folder / "4_Dense", module_output_name="sentence_embedding")
    assert_add_refuses(stages, "expected a Dense at the end whose module_output_name is 'scores'.")


def test_an_encoder_whose_weights_are_missing_is_refused(folder: Path, stages: Stages) -> None:
    """transformers would fill them with random numbers."""
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    weights.pop(next(name for name in weights if "mlp" in name))
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    assert stages("add", f"checkpoints/{project.SLUG}", "--license", "mit")[0] == 0
    for name in ("fetch", "data"):
        assert stages(name, project.SLUG)[0] == 0
    code, _, error = stages("reference", project.SLUG)
    assert code == 4
    assert "The checkpoint lacks 1 weight(s) of its architecture" in error
