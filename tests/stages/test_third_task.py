"""A task that the builder does not have is built, measured, judged and packed without editing a module."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from msgspec.structs import replace

from artificer.backends.session import Inputs, Output, Session
from artificer.manifest import ExecutionPrecision, Manifest, Metrics, Runtime, Tuning
from artificer.proving.outputs import outputs
from artificer.proving.reference_answers import Expected
from artificer.tasks import TASKS, task_of
from stages.building.build_step import Built
from stages.core import paths
from stages.core.variants import row
from stages.fallback.acceptance import open_acceptance
from stages.fallback.recipe import Recipe
from stages.measuring.measure import measure
from stages.measuring.variant_parity import measure_variant
from stages.records.model_spec import load_spec
from stages.records.open_tokenizer import open_tokenizer
from stages.records.quality_report import load_quality
from stages.tasks import BUILDING_TASKS, fitting_task, has_one_label
from tests.stages import project
from tests.stages.conftest import Stages
from tests.stages.fabricated import PAIRS, SLUG, Fabricated
from tests.stages.pair_distance import PairDistance, PairDistanceBuilding


@pytest.fixture
def new_task(root: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one model of the new task, built."""
    monkeypatch.setitem(TASKS, "pair-distance", PairDistance())
    monkeypatch.setitem(BUILDING_TASKS, "pair-distance", PairDistanceBuilding())
    with project.edited(root / "registry" / "models.yaml") as models:
        models["models"][SLUG] = {
            "source": {"path": f"checkpoints/{SLUG}"}, "task": "pair-distance", "license": "mit",
        }  # fmt: skip
    Fabricated().write(root, tiny)
    return root


class IdSession:
    """A graph that returns the token ids, as distances."""

    runtime: Runtime = "onnx"
    execution_precision: ExecutionPrecision = "f32"
    compiles_per_shape = False
    tuning = Tuning()
    input_names: tuple[str, ...] = ("input_ids", "attention_mask")

    def parallelism(self) -> int:
        """One batch at a time."""
        return 1

    def run(self, inputs: Inputs) -> Output:
        """A number for every token."""
        return inputs["input_ids"].astype(np.float32)

    def run_many(self, batches: Iterable[Inputs]) -> Iterator[Output]:
        """The numbers of each batch."""
        return map(self.run, batches)

    def close(self) -> None:
        """Nothing is open."""


@pytest.mark.usefixtures("new_task")
def test_it_is_judged_and_packed_by_its_own_metrics(stages: Stages) -> None:
    """`evaluate` asks the task for quality; the manifest and the card have its name and its snippet."""
    assert stages("evaluate", SLUG)[0] == 0
    quality = load_quality(SLUG)
    assert quality.reference is not None
    assert quality.reference.main_metric == "closeness"
    assert all(found.ratio == 1.0 for found in quality.variants.values())
    code, _, error = stages("pack", SLUG)
    assert code == 0, error
    manifest = Manifest.from_json((paths.package(SLUG) / "manifest.json").read_bytes())
    assert task_of(manifest).name == "pair-distance"
    assert all(golden.outputs.keys() == {"distances"} for golden in manifest.golden)
    assert 'model.predict([("Paris", "Lyon")])' in (paths.package(SLUG) / "README.md").read_text()


@pytest.mark.usefixtures("new_task")
def test_it_is_measured_by_its_own_output_and_differences() -> None:
    """`parity` collects the graph's output as the task does, in batches and alone."""
    spec = load_spec(SLUG)
    texts = [(pair.query, pair.passage) for pair in PAIRS]
    tokenizer = open_tokenizer(replace(spec, max_length=32), ("input_ids", "attention_mask"))
    exact = np.array([[max(ids)] for ids in tokenizer.encode(texts).ids], dtype=np.float32)
    expected = Expected(
        pairs=texts, logits=exact + 0.5, task=TASKS["pair-distance"], head=spec.head, batch_size=4, top_k=3
    )
    session: Session = IdSession()
    found = outputs(session, tokenizer, expected, with_batches=True)
    metrics = measure(found, expected)
    np.testing.assert_array_equal(found.logits, exact)
    assert metrics["output_max_abs"] == 0.5
    assert metrics["batch_score_max_abs"] == 0.0


@pytest.mark.usefixtures("new_task")
def test_an_error_of_its_metrics_is_no_graph_that_cannot_be_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake in a task ends `parity` and the search for int8, in place of failing every variant."""

    def broken(*_: object) -> Metrics:
        raise ZeroDivisionError("a mistake in the task")

    monkeypatch.setattr(PairDistance, "differences", broken)
    opened = Mock(side_effect=lambda *_, **__: IdSession())
    monkeypatch.setattr("stages.measuring.variant_parity.open_execution", opened)
    with pytest.raises(ZeroDivisionError):
        measure_variant(SLUG, "onnx")
    monkeypatch.setattr("stages.fallback.acceptance.open_session", opened)
    acceptance = open_acceptance(SLUG)
    assert acceptance is not None
    built = Built(recipe={}, inputs=IdSession.input_names)
    plain = Recipe(name="plain", changes={}, settings={})
    int8 = row("onnx-quint8-avx2")
    with pytest.raises(ZeroDivisionError):
        acceptance.attempt(int8, plain, built, paths.variant(SLUG, int8))
    assert opened.call_count == 2


@pytest.mark.usefixtures("new_task")
def test_an_entry_that_contradicts_it_is_refused(stages: Stages, root: Path) -> None:
    """The reason is the task's own."""
    with project.edited(root / "registry" / "models.yaml") as models:
        models["models"][SLUG]["task"] = "no-such-task"
    code, _, error = stages("check")
    assert code != 0
    assert "expected one of text-ranking, text-classification, pair-distance" in error


@pytest.mark.usefixtures("new_task")
def test_a_task_of_single_texts_is_refused_before_anything_is_built(
    stages: Stages, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`check` says it, and `pack` if nobody asked; the runtime takes such a task."""
    monkeypatch.setattr(PairDistance, "sample_inputs", ("text",))
    reason = "pair-distance takes 1 input(s) (text); the builder makes pairs."
    code, _, error = stages("check")
    assert code != 0
    assert f"models.{SLUG}.task: {reason}" in error
    code, _, error = stages("pack", SLUG)
    assert code != 0
    assert f"{SLUG}: {reason}" in error


@pytest.mark.usefixtures("new_task")
def test_the_commands_ask_the_table_which_task_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first that the labels do not contradict; a task of one label needs no checkpoint to know its labels."""
    assert fitting_task(("LABEL_0",)) == "text-ranking"
    assert fitting_task(("no", "yes")) == "text-classification"
    monkeypatch.setattr("stages.tasks.BUILDING_TASKS", {"pair-distance": PairDistanceBuilding()})
    assert fitting_task(("LABEL_0",)) == "pair-distance"
    assert has_one_label("pair-distance")
