"""Other heads than one sigmoid: built, proven, published and loaded, from a registry entry and a tiny checkpoint."""

import contextlib
import json
import random
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import artificer
from artificer.inference.activations import activate
from artificer.manifest import MANIFEST_FILE, Activation, Benchmark, ClassifierHead, Host, Manifest, canonical_json
from stages.core import paths
from stages.records import model_spec
from stages.records.host_record import load_host
from stages.records.pairs import read_pairs
from stages.records.quality_report import load_quality
from stages.records.reference_outputs import load_reference
from tests.stages import checkpoints, project
from tests.stages.checkpoints import tiny_bert, tiny_modernbert, tiny_xlm_roberta
from tests.stages.conftest import Stages

pytestmark = pytest.mark.toolchain
NAMES = {0: "toxic", 1: "rude", 2: "threat"}
IDENTITY = "torch.nn.modules.linear.Identity"
VARIANTS = ("onnx", "onnx-O2", "onnx-quint8-avx2", "openvino")
STAGES = ("fetch", "data", "reference", "export", "optimize", "quantize_onnx")
LONG_TOKENS = 4200


@pytest.fixture(scope="module")
def heads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a model for each kind of head, built, proven and published."""
    made = tmp_path_factory.mktemp("checkpoints")
    models = {
        "multi": tiny_bert(made / "multi", labels=3, id2label=NAMES, problem_type="multi_label_classification"),
        "nli": tiny_bert(made / "nli", labels=3, seed=2, problem_type="single_label_classification"),
        "raw": tiny_bert(made / "raw", sentence_transformers={"activation_fn": IDENTITY}),
    }
    entry = {"task": "text-classification", "variants": {"include": [*VARIANTS]}}
    root = project.make_project(
        tmp_path_factory.mktemp("heads") / "project",
        models,
        multi={**entry, "data": {"evaluation": "topics"}},
        nli={**entry, "data": {"evaluation": "entailed"}},
        raw={"variants": {"include": [*VARIANTS]}},
    )
    rows = [json.loads(line) for line in (root / "registry/data/pairs.jsonl").read_text().splitlines()]
    chance = random.Random(1)
    # By name, by index, several, and none at all.
    write_set(root, "topics", rows, [chance.choice(["rude", 2, [0, "threat"], ["toxic"], []]) for _ in rows])
    write_set(root, "entailed", rows, [chance.choice([0, 1, "LABEL_2"]) for _ in rows])
    for slug in models:
        project.run_here(root, *STAGES, "parity", "evaluate", slug=slug)
        publish(root, slug)
    return root


def write_set(root: Path, name: str, rows: list[dict[str, Any]], classes: list[Any]) -> None:
    """A data set of these pairs that says which labels apply."""
    lines = [json.dumps({**row, "classes": value}) for row, value in zip(rows, classes, strict=True)]
    (root / f"registry/data/{name}.jsonl").write_text("\n".join(lines) + "\n")
    columns = {"query": "query", "passage": "passage", "classes": "classes"}
    with project.edited(root / "params.yaml") as params:
        params["data"]["sets"][name] = {"path": f"registry/data/{name}.jsonl", "columns": columns}


def publish(root: Path, slug: str) -> None:
    """Pack and publish to a folder, without figures of speed."""
    with contextlib.chdir(root):
        host: Host = load_host()
        empty = Benchmark(host=host, preset="embedded", threads=1, rounds=1, subjects=())
        paths.benchmark(slug).write_bytes(canonical_json(empty))
    project.run_here(root, "pack", "publish", slug=slug)


def published(root: Path, slug: str) -> tuple[Path, Manifest]:
    """The published folder, and its manifest."""
    folder = root / "dist/artificer" / slug
    return folder, Manifest.from_json((folder / MANIFEST_FILE).read_bytes())


def head(manifest: Manifest) -> ClassifierHead:
    """What its logits mean."""
    assert isinstance(manifest.head, ClassifierHead)
    return manifest.head


def reference(root: Path, slug: str, activation: Activation) -> tuple[list[tuple[str, str]], Any]:
    """The evaluation pairs, and torch's scores of them."""
    with contextlib.chdir(root):
        logits = np.asarray(load_reference(slug).logits, dtype=np.float32)
        pairs = read_pairs(paths.evaluation(slug)).pairs
    return [(pair.query, pair.passage) for pair in pairs], activate(logits, activation)


HEADS: list[tuple[str, Activation, str]] = [
    ("multi", "sigmoid", "macro_average_precision"),
    ("nli", "softmax", "accuracy"),
    ("raw", "identity", "ndcg_at_10"),
]


@pytest.mark.parametrize(("slug", "activation", "metric"), HEADS)
def test_a_head_goes_through_the_whole_pipeline(heads: Path, slug: str, activation: Activation, metric: str) -> None:
    """Every variant passes; the manifest has the labels' names, the activation, and the metric that fits."""
    _, manifest = published(heads, slug)
    assert {variant.id: variant.reason for variant in manifest.variants} == dict.fromkeys(VARIANTS)
    assert head(manifest).activation == activation
    names = {"multi": tuple(NAMES.values()), "nli": ("LABEL_0", "LABEL_1", "LABEL_2"), "raw": ("LABEL_0",)}
    assert head(manifest).labels == names[slug]
    for variant in manifest.variants:
        assert variant.quality is not None
        assert variant.quality.main_metric == metric
        assert variant.quality.main_value > 0
    assert all(len(golden.outputs["logits"]) == len(head(manifest).labels) for golden in manifest.golden)
    assert (manifest.variant("onnx").parity[0].metrics["score_max_abs"] or 0) < 1e-5


@pytest.mark.parametrize(("slug", "activation", "_"), HEADS)
@pytest.mark.parametrize("variant", ["onnx", "onnx-O2"])
def test_a_published_head_scores_as_torch_does(
    heads: Path, slug: str, activation: Activation, _: str, variant: str
) -> None:
    """A row of scores a pair, a column a label; with one label neither; and the activation applied once."""
    folder, manifest = published(heads, slug)
    pairs, expected = reference(heads, slug, activation)
    with artificer.load(folder, variant=variant) as model:
        assert model.explain().self_test is not None
        found = model.predict(pairs)
        one = model.predict(pairs[0])
        several = len(head(manifest).labels) > 1
        assert found.shape == ((len(pairs), 3) if several else (len(pairs),))
        assert one.shape == ((3,) if several else ())
        np.testing.assert_allclose(found if several else found[:, None], expected, atol=2e-5)
        np.testing.assert_allclose(one, found[0], atol=1e-6)
        if several:
            assert isinstance(model, artificer.Classifier)
        else:
            assert isinstance(model, artificer.Reranker)
            assert model.rank(pairs[0][0], [pairs[0][1]])[0]["score"] == pytest.approx(float(found[0]), abs=1e-6)
    if activation == "softmax":
        np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)
    if activation == "identity":
        assert found.min() < 0


@pytest.mark.parametrize(("slug", "activation", "_"), HEADS)
def test_sentence_transformers_gives_the_same_scores(heads: Path, slug: str, activation: str, _: str) -> None:
    """From the published folder, with the arguments that its card states, and it ranks and refuses alike.

    Its ONNX backend does not import beside transformers 5; ONNX variants are compared with the checkpoint.
    """
    import torch
    from sentence_transformers import CrossEncoder

    folder, manifest = published(heads, slug)
    pairs, _expected = reference(heads, slug, head(manifest).activation)
    modules = {"sigmoid": torch.nn.Sigmoid(), "softmax": torch.nn.Softmax(-1)}
    options = {"activation_fn": modules[activation]} if activation in modules else {}
    card = (folder / "README.md").read_text()
    assert ("activation_fn=torch.nn." in card) == bool(options)
    file = {"file_name": "openvino/openvino_model.xml", "ov_config": {"INFERENCE_PRECISION_HINT": "f32"}}
    theirs = CrossEncoder(str(folder), backend="openvino", model_kwargs=file, local_files_only=True, **options)
    checkpoint = CrossEncoder(str(heads / "artifacts/models" / slug / "source"), local_files_only=True, **options)
    for model, variant in ((theirs, "openvino"), (checkpoint, "onnx-O2")):
        with artificer.load(folder, variant=variant) as ours:
            np.testing.assert_allclose(model.predict(pairs, show_progress_bar=False), ours.predict(pairs), atol=2e-5)
    if len(head(manifest).labels) > 1:
        with pytest.raises(ValueError, match="num_labels=1"):
            theirs.rank("a query", ["a passage"])
        assert "model.predict([" in card
        assert ", ".join(head(manifest).labels) in card


def test_labels_that_do_not_fit_are_no_quality(heads: Path, stages: Stages, monkeypatch: pytest.MonkeyPatch) -> None:
    """Grades of relevance say nothing about three classes: the variants ship on their parity, and the card says so."""
    monkeypatch.chdir(heads)
    before = project.snapshot(paths.model("nli"))
    with project.edited(heads / "registry/models.yaml") as models:
        models["models"]["nli"]["data"] = {"evaluation": "demo-pairs"}
    for stage in ("data", "evaluate", "pack"):
        assert stages(stage, "nli")[0] == 0, stage
    found = load_quality("nli")
    assert (found.reference, found.variants) == (None, {})
    reason = (
        "data set demo-pairs: it holds one number per pair (`label`), and the model has 3 labels, which need `classes`"
    )
    assert found.reason == reason
    package = paths.package("nli")
    manifest = Manifest.from_json((package / MANIFEST_FILE).read_bytes())
    assert [(v.status, v.quality) for v in manifest.variants] == [("passed", None)] * len(VARIANTS)
    assert f"| quality | not measured: {reason} |" in (package / "README.md").read_text()
    assert "accuracy" not in project.read_json(paths.metrics("nli"))
    for path, content in before.items():
        (paths.model("nli") / path).write_bytes(content)


def test_a_label_that_the_model_lacks_is_refused(heads: Path, stages: Stages, monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelt class would count as a miss of every variant alike."""
    monkeypatch.chdir(heads)
    path = paths.evaluation("multi")
    before = path.read_bytes()
    path.write_bytes(before.replace(b'"rude"', b'"crude"', 1))
    code, _, err = stages("evaluate", "multi")
    path.write_bytes(before)
    assert code == 5
    assert err == (
        "error: evaluation: the model has no label 'crude'. Expected an index from 0 to 2, or one of toxic, rude, "
        "threat.\n"
    )


LONG = {"xlm": tiny_xlm_roberta, "modern": tiny_modernbert}


@pytest.fixture(scope="module", params=LONG)
def long(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A project with a model of 8,192 tokens, proven on pairs of thousands of tokens beside short ones, published."""
    slug: str = request.param
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of what torch imports for ModernBERT and for the exporter
        made = LONG[slug](tmp_path_factory.mktemp("checkpoints") / slug)
        variants = {"include": ["onnx", "onnx-O2", "openvino"]}
        root = project.make_project(
            tmp_path_factory.mktemp("long") / "project", {slug: made}, **{slug: {"variants": variants}}
        )
        words = [word for word in checkpoints.words() if word.isalpha() and len(word) > 3]
        chance = random.Random(2)
        rows = [
            {"query": "long texts", "passage": " ".join(chance.choices(words, k=length)), "relevance": i % 2}
            for i, length in enumerate((LONG_TOKENS, 20, 1100, 600, 30, 8))
        ]
        (root / "registry/data/pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        project.run_here(root, *STAGES, "parity", "evaluate", slug=slug)
        publish(root, slug)
    return root, slug


def test_a_long_pair_is_scored_right_in_both_runtimes(long: tuple[Path, str]) -> None:
    """More than 4,000 tokens beside a few, in one call and alone: torch's scores, and nothing is cut."""
    root, slug = long
    folder, manifest = published(root, slug)
    assert manifest.max_length == 8192
    assert {variant.id: variant.reason for variant in manifest.variants} == dict.fromkeys(
        ("onnx", "onnx-O2", "openvino")
    )
    pairs, expected = reference(root, slug, "sigmoid")
    for variant in ("onnx", "onnx-O2", "openvino"):
        with artificer.load(folder, variant=variant, on_truncate="error") as model:
            assert model.max_length == 8192
            np.testing.assert_allclose(model.predict(pairs), expected[:, 0], atol=2e-5)
            np.testing.assert_allclose(model.predict(pairs[0]), expected[0, 0], atol=2e-5)
            assert model.truncated([pairs[0], (pairs[0][0], " ".join([pairs[0][1]] * 2))]).tolist() == [False, True]


def test_a_long_pair_ends_in_its_end(long: tuple[Path, str]) -> None:
    """The last words of 4,200 count: a graph that was traced for short texts would not see them."""
    root, slug = long
    folder, _ = published(root, slug)
    query, passage = reference(root, slug, "sigmoid")[0][0]
    cut = " ".join(passage.split()[: LONG_TOKENS - 100])
    with artificer.load(folder, variant="openvino") as model:
        whole, shorter = model.predict([(query, passage), (query, cut)])
    assert abs(whole - shorter) > 1e-6


def test_the_specification_says_how_long(long: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """XLM-R's table has two more places than it has positions; ModernBERT's has none."""
    root, slug = long
    monkeypatch.chdir(root)
    found = model_spec.load_spec(slug)
    assert (found.max_length, found.declared_max_length) == (8192, 8192)
    assert "token_type_ids" not in published(root, slug)[1].inputs
