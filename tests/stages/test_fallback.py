"""Fallback recipes for an int8 variant that misses its thresholds: the order, the budget, the record; with the real
toolchain, on a checkpoint whose outliers int8 cannot hold."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from artificer.manifest import Attempt
from stages.building.build_step import Built
from stages.core.errors import RegistryError
from stages.core.variants import row
from stages.fallback import layer_ranking, recipe_search
from stages.fallback.acceptance import Acceptance
from stages.fallback.recipe import Recipe
from stages.fallback.recipe_search import Outcome
from stages.records.fallback_costs import Cost
from stages.toolchain.onnx import dynamic_int8, onnx_graph, sidecars
from stages.toolchain.openvino import fallback_recipes, half_precision
from tests.stages import project
from tests.stages.checkpoints import add_outliers
from tests.stages.conftest import Stages
from tests.stages.project import SLUG, edited, read_json, snapshot

ROW = row("onnx-quint8-avx2")
MODEL = Path("artifacts/models", SLUG)


class FakeGate:
    """Passes the recipes it was told to; the files of an attempt are its name."""

    def __init__(self, *passing: str, attempts: int = 9):
        self.passing = passing
        self.rows = 12
        self.host = SimpleNamespace(isa_class="avx2")
        self.most = attempts
        self.timed: list[tuple[str, str]] = []

    def attempt(self, _: Any, recipe: Recipe, __: Built, folder: Path) -> Attempt:
        """Judged by name alone."""
        assert (folder / ROW.file_name).read_text() == recipe.name
        missed = () if recipe.name in self.passing else ("too far",)
        return Attempt(
            recipe=recipe.name,
            changes=recipe.changes,
            metrics={"score_max_abs": 0.5, "score_mean_abs": 0.1, "spearman": 0.9, "top_k_overlap": 1.0},
            quality_ratio=1.0,
            size_bytes=5,
            missed=missed,
        )

    def time(self, _: Any, plain: Path, kept: Path, __: Built) -> Cost:
        """What was compared."""
        self.timed.append(((plain / ROW.file_name).read_text(), (kept / ROW.file_name).read_text()))
        return Cost(pairs_per_second=2, plain_pairs_per_second=4, speed_ratio=0.5)


def recipes(*names: str) -> Iterator[Recipe]:
    """Recipes of these names; two of one name have equal settings."""
    for name in names:
        yield Recipe(name=name, changes={"name": name}, settings={"name": name})


def search(acceptance: FakeGate | None, folder: Path, *names: str, broken: tuple[str, ...] = ()) -> Outcome:
    """The search with a maker that writes a recipe's name, or fails for some."""

    def build(recipe: Recipe, place: Path) -> Built:
        if recipe.name in broken:
            raise ValueError(f"no {recipe.name}")
        (place / ROW.file_name).write_text(recipe.name)
        return Built(recipe={"name": recipe.name}, inputs=("input_ids",))

    folder.mkdir(exist_ok=True)
    return recipe_search.search(cast("Acceptance | None", acceptance), ROW, folder, recipes(*names), build)


def attempted(outcome: Outcome) -> list[str]:
    """The recipes of the record."""
    return [] if outcome.built.fallback is None else [each.recipe for each in outcome.built.fallback.attempts]


def test_a_plain_recipe_that_passes_is_kept_without_a_record(tmp_path: Path) -> None:
    """Nothing else is built or timed, and variant.json is what it would be without fallback."""
    acceptance = FakeGate("plain")
    found = search(acceptance, tmp_path / "v", "plain", "second")
    assert (found.built.fallback, found.cost, acceptance.timed) == (None, None, [])
    assert snapshot(tmp_path / "v") == {ROW.file_name: b"plain"}


def test_the_first_recipe_that_passes_is_kept(tmp_path: Path) -> None:
    """The order is the list's; the record has every attempt with its misses, the winner, and its size; it was timed
    beside the plain one."""
    acceptance = FakeGate("third", "fourth")
    found = search(acceptance, tmp_path / "v", "plain", "second", "third", "fourth")
    assert attempted(found) == ["plain", "second", "third"]
    record = found.built.fallback
    assert record is not None
    assert [each.missed for each in record.attempts] == [("too far",), ("too far",), ()]
    assert (record.won, record.rows, record.isa_class, record.size_ratio) == ("third", 12, "avx2", 1.0)
    assert (record.speed_ratio, record.host) == (None, None)
    assert acceptance.timed == [("plain", "third")]
    assert snapshot(tmp_path / "v") == {ROW.file_name: b"third"}


def test_where_nothing_passes_the_plain_recipe_stands(tmp_path: Path) -> None:
    """`parity` and `pack` then fail it, with every attempt listed."""
    acceptance = FakeGate()
    found = search(acceptance, tmp_path / "v", "plain", "second", "third")
    assert found.built.fallback is not None
    assert (found.built.fallback.won, found.cost, acceptance.timed) == (None, None, [])
    assert attempted(found) == ["plain", "second", "third"]
    assert snapshot(tmp_path / "v") == {ROW.file_name: b"plain"}


def test_the_budget_counts_fallback_recipes(tmp_path: Path) -> None:
    """With two attempts, the plain recipe and two others are tried; one that would pass after them is not."""
    found = search(FakeGate("fourth", attempts=2), tmp_path / "v", "plain", "second", "third", "fourth")
    assert attempted(found) == ["plain", "second", "third"]


def test_without_a_gate_nothing_is_judged(tmp_path: Path) -> None:
    """`attempts: 0` builds the plain recipe, and asks for no second one."""
    found = search(None, tmp_path / "v", "plain", "second")
    assert (found.built.fallback, found.cost) == (None, None)
    assert snapshot(tmp_path / "v") == {ROW.file_name: b"plain"}


def test_equal_recipes_are_tried_once(tmp_path: Path) -> None:
    """A step that changes nothing for this preset costs no attempt."""
    found = search(FakeGate("third", attempts=2), tmp_path / "v", "plain", "plain", "second", "second", "third")
    assert attempted(found) == ["plain", "second", "third"]


def test_a_fallback_recipe_that_cannot_be_built_is_a_miss(tmp_path: Path) -> None:
    """Its reason is recorded, and the next is tried; the plain recipe's error is the variant's own outcome."""
    found = search(FakeGate("third"), tmp_path / "v", "plain", "second", "third", broken=("second",))
    assert found.built.fallback is not None
    assert found.built.fallback.attempts[1].missed == ("it cannot be built: ValueError: no second",)
    assert found.built.fallback.won == "third"
    with pytest.raises(ValueError, match="no plain"):
        search(FakeGate(), tmp_path / "w", "plain", "second", broken=("plain",))


def test_outliers_make_a_product_sensitive() -> None:
    """One channel a hundred times larger takes the steps that the others need."""
    random = np.random.default_rng(0)
    left, weight = (random.normal(size=(8, 16)).astype(np.float32) for _ in range(2))
    weight = weight.T.copy()
    before = layer_ranking.product_error(left, weight)
    left[:, 0] *= 100
    weight[0] /= 100
    assert layer_ranking.product_error(left, weight) > 10 * before
    assert layer_ranking.product_error(np.zeros((2, 16), np.float32), weight) == 0


def test_more_and_more_layers_are_left_out_and_never_all() -> None:
    """An eighth, a quarter, a half."""
    names = [f"n{i}" for i in range(16)]
    assert [count for count, _ in layer_ranking.steps(names)] == [2, 4, 8]
    assert next(layer_ranking.steps(names))[1] == ["n0", "n1"]
    assert list(layer_ranking.steps(["only"])) == []


@pytest.mark.toolchain
@given(st_numpy.arrays(np.float32, st.integers(1, 20), elements=st.floats(width=32, allow_nan=True)))
def test_bf16_is_rounded_as_torch_rounds_it(values: Any) -> None:
    """To nearest, ties to even."""
    import torch

    expected = torch.from_numpy(values).to(torch.bfloat16).float().numpy()
    found = (half_precision.bf16_bits(values).astype(np.uint32) << 16).view(np.float32)
    np.testing.assert_array_equal(found, expected)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> Path:
    """A project with outliers in its checkpoint, up to the exports; thresholds that int8 of it misses."""
    checkpoint = tmp_path_factory.mktemp("outliers") / "tiny"
    shutil.copytree(tiny, checkpoint)
    add_outliers(add_outliers(checkpoint, 200, 4), 200, 4, of="queries")
    entry = {"variants": {"optional": ["openvino-fp16", "openvino-bf16", "openvino-int8-weights"]}}
    root = project.make_project(tmp_path_factory.mktemp("fallback") / "project", {SLUG: checkpoint}, **{SLUG: entry})
    with edited(root / "params.yaml") as params:
        params["thresholds"]["int8"].update(score_max_abs=0.01, score_mean_abs=0.002)
    project.run_here(root, "fetch", "data", "reference", "export")
    return root


@pytest.fixture
def copy(tmp_path: Path, exported: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it as the working directory."""
    shutil.copytree(exported, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    return tmp_path / "copy"


@pytest.mark.toolchain
def test_a_model_with_outliers_gets_a_recipe_that_passes(copy: Path, stages: Stages) -> None:
    """The plain recipe misses its thresholds, a less aggressive one passes and is kept, the same bytes every time. Its
    cost in speed is written beside the variants."""
    assert stages("quantize_onnx", SLUG)[0] == 0
    found = read_json(copy / MODEL / "variants/quantize_onnx" / ROW.id / "variant.json")
    attempts = found["fallback"]["attempts"]
    assert attempts[0]["recipe"] == "plain"
    assert attempts[0]["missed"]
    assert found["fallback"]["won"] == attempts[-1]["recipe"] == found["recipe"]["fallback"]
    assert attempts[-1]["missed"] == []
    assert attempts[-1]["metrics"]["score_max_abs"] <= 0.01 < attempts[0]["metrics"]["score_max_abs"]
    costs = read_json(copy / MODEL / "fallback_onnx.json")
    assert costs["variants"][ROW.id]["speed_ratio"] > 0
    before = snapshot(copy / MODEL / "variants/quantize_onnx")
    assert stages("quantize_onnx", SLUG)[0] == 0
    assert snapshot(copy / MODEL / "variants/quantize_onnx") == before
    same = {name.rpartition("/")[2]: data for name, data in before.items() if name.endswith(".onnx")}
    assert same["model_qint8_arm64.onnx"] == same["model_qint8_avx512.onnx"] == same["model_qint8_avx512_vnni.onnx"]


@pytest.mark.toolchain
def test_openvino_recovers_and_its_optional_variants_are_what_they_say(copy: Path, stages: Stages) -> None:
    """Static int8 gets a recipe that passes; fp16 and bf16 halve the weights; bf16 is proven in bf16 where the CPU can,
    and its reason says so where it cannot."""
    import openvino as ov

    done = project.stage(copy, "quantize_openvino", SLUG)
    assert done.returncode == 0, done.stdout + done.stderr
    folder = copy / MODEL / "variants/quantize_openvino"
    found = read_json(folder / "openvino-qint8" / "variant.json")
    assert found["status"] == "built", found["reason"]
    assert found["fallback"]["won"] == found["fallback"]["attempts"][-1]["recipe"]
    weights = (copy / MODEL / "variants/export/openvino/openvino_model.bin").stat().st_size
    for variant_id, kind in (("openvino-fp16", "f16"), ("openvino-bf16", "bf16")):
        graph = folder / variant_id / row(variant_id).file_name
        assert graph.with_suffix(".bin").stat().st_size < 0.55 * weights
        constants = [node for node in ov.Core().read_model(graph).get_ops() if node.get_type_name() == "Constant"]
        assert kind in {node.get_element_type().get_type_name() for node in constants}
    assert read_json(folder / "openvino-int8-weights" / "variant.json")["recipe"]["preset"] == "int8_sym"
    assert stages("quantize_onnx", SLUG)[0] == 0
    assert stages("optimize", SLUG)[0] == 0
    assert stages("parity", SLUG)[0] == 0
    parity = {each["id"]: each for each in read_json(copy / MODEL / "parity.json")}
    assert parity["openvino-fp16"]["measurements"][0]["execution_precision"] == "f32"
    half = parity["openvino-bf16"]
    if half["error"] is None:
        assert [each["execution_precision"] for each in half["measurements"]] == ["bf16"]
    else:
        assert half["error"].endswith("should compute in bf16, but this machine computes in f32.")


@pytest.mark.toolchain
def test_a_graph_with_a_sidecar_stays_one_unit(copy: Path, stages: Stages) -> None:
    """Above 2 GB weights lie outside: int8 of such a graph has one sidecar of the name that its loaders look for, each
    variant its own, and runs."""
    import onnx
    import onnxruntime as ort

    parent = copy / MODEL / "variants/export/onnx/model.onnx"
    model = onnx.load(str(parent))
    onnx.save(
        model, str(parent), save_as_external_data=True, location="model.onnx_data", size_threshold=256,
        all_tensors_to_one_file=True,
    )  # fmt: skip
    assert stages("quantize_onnx", SLUG)[0] == 0
    for variant_id in ("onnx-qint8-arm64", "onnx-qint8-avx512_vnni", "onnx-quint8-avx2"):
        name = row(variant_id).file_name
        folder = copy / MODEL / "variants/quantize_onnx" / variant_id
        assert {path.name for path in folder.iterdir()} == {name, f"{name}_data", "variant.json"}
        sidecars.check_sidecars(folder / name, beside=("variant.json",))
        ort.InferenceSession(str(folder / name), providers=["CPUExecutionProvider"])
        alias = "onnx-qint8-arm64" if variant_id == "onnx-qint8-avx512_vnni" else None
        assert read_json(folder / "variant.json")["alias_of"] == alias
        assert len(read_json(folder / "variant.json")["files"]) == 2


@pytest.mark.toolchain
def test_embeddings_and_head_are_found_by_what_they_do(copy: Path) -> None:
    """Whatever they are called: look-ups in a weight, and the products between the pooled token and the logits."""
    path = copy / MODEL / "variants/export/onnx/model.onnx"
    names = dynamic_int8.embeddings_and_head(path)
    graph = onnx_graph.load_graph(path).graph
    weights = {tensor.name for tensor in graph.initializer if len(tensor.dims) > 1}
    found = [node for node in graph.node if dynamic_int8.quantised_name(node) in names]
    assert len(found) == len(names)
    assert {name for node in found for name in node.input if name in weights} == {
        "model.bert.embeddings.position_embeddings.weight",
        "model.bert.embeddings.token_type_embeddings.weight",
        "model.bert.embeddings.word_embeddings.weight",
        "model.bert.pooler.dense.weight",
        "model.classifier.weight",
    }


@pytest.mark.parametrize("variant_id", ["openvino-fp16", "openvino-bf16", "openvino-int8-weights"])
def test_optional_variants_are_built_where_an_entry_lists_them(variant_id: str) -> None:
    """The default set stays twelve; `optional` adds; each needs the export that it is made from."""
    from stages.core.paths import REGISTRY
    from stages.registry.model_list import check_entry

    raw: dict[str, Any] = {"source": {"path": "m"}, "task": "text-ranking", "license": "mit"}
    assert len(check_entry("m", raw, REGISTRY).selected_variants()) == 12
    entry = check_entry("m", {**raw, "variants": {"optional": [variant_id]}}, REGISTRY)
    assert entry.selected_variants()[-1] == variant_id
    assert len(entry.selected_variants()) == 13
    with pytest.raises(RegistryError, match="is made from `openvino`"):
        check_entry("m", {**raw, "variants": {"include": ["onnx"], "optional": [variant_id]}}, REGISTRY)


def test_a_ranking_that_cannot_be_had_leaves_the_other_recipes(capsys: pytest.CaptureFixture[str]) -> None:
    """A child that is killed while it measures is no reason to lose what was built."""

    def broken() -> list[str]:
        raise RuntimeError("its process was killed")

    assert list(layer_ranking.steps(layer_ranking.or_nothing(broken))) == []
    assert "cannot rank the layers by sensitivity: RuntimeError: its process was killed" in capsys.readouterr().out


def test_a_recipe_of_params_holds_for_int8_weights() -> None:
    """Its fields come before the defaults; a fallback recipe changes only what makes it less aggressive."""
    plain, asymmetric, *_ = fallback_recipes.weight_recipes({"bits": 4, "sym": True})
    assert (plain.changes["bits"], plain.changes["sym"]) == (4, True)
    assert (asymmetric.changes["bits"], asymmetric.changes["sym"]) == (4, False)


def test_a_fallback_recipe_ignores_what_params_ignores_too() -> None:
    """A layer that a recipe of params.yaml keeps in float stays there."""
    recipes = fallback_recipes.fallback_recipes(Path("ir.xml"), {"ignored_scope": {"patterns": [".*mine.*"]}}, None)
    next(recipes)  # the plain one
    assert ".*mine.*" in next(recipes).changes["ignored_scope"]["patterns"]
