"""dvc.yaml against the table of stages: commands, paths and parameters are those that the code has."""

import importlib.util
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest

from stages import pipeline
from stages.core import paths
from stages.core.params import BuildParams
from stages.core.variants import Step, rows_of_step
from tests.stages.project import REPOSITORY, read_yaml

KEY = "${key}"
TEXT = (REPOSITORY / "dvc.yaml").read_text(encoding="utf-8")
STAGES: dict[str, Any] = read_yaml(REPOSITORY / "dvc.yaml")["stages"]
BUILDING = get_args(Step)


def body(name: str) -> dict[str, Any]:
    """A stage's definition, out of its loop."""
    found: dict[str, Any] = STAGES[name].get("do", STAGES[name])
    return found


def source(name: str) -> str:
    """The text of a stage's module."""
    return (REPOSITORY / "stages" / f"{name}.py").read_text(encoding="utf-8")


def names(entries: list[Any]) -> set[str]:
    """Paths of outs, with or without options."""
    return {next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries}


def test_dvc_yaml_has_the_stages_of_the_table() -> None:
    """The same names in the same order, each with its command, for each model or once."""
    assert list(STAGES) == [row.name for row in pipeline.STAGES]
    for row in pipeline.STAGES:
        for_each_model = row.scope == "model"
        assert ("foreach" in STAGES[row.name]) == for_each_model
        assert body(row.name)["cmd"] == f"python -m stages {row.name}" + f" {KEY}" * for_each_model


def test_metrics_are_no_outputs() -> None:
    """`dvc metrics show` reads two folders. DVC pushes no output that it does not cache, and without it the stage could
    not be restored in another clone."""
    shown = [Path(folder) for folder in read_yaml(REPOSITORY / "dvc.yaml")["metrics"]]
    assert shown == [paths.metrics(KEY).parent, paths.resources(KEY, "fetch").parents[1]]
    assert not [name for name in STAGES if "metrics" in body(name)]


def test_what_is_built_for_a_model_can_be_restored_in_another_clone() -> None:
    """Every output of its stages is cached by DVC; only receipts, which are in git, are not."""
    for row in pipeline.STAGES:
        if row.scope == "model" and row.name != "publish":
            options = [next(iter(out.values())) for out in body(row.name)["outs"] if isinstance(out, dict)]
            assert not any(option.get("cache") is False for option in options), row.name


def test_the_table_in_the_documents_is_up_to_date() -> None:
    """docs/pipeline.md holds what `markdown_table` says."""
    text = (REPOSITORY / "docs" / "pipeline.md").read_text(encoding="utf-8")
    begin, end = "<!-- stages: begin -->\n", "\n<!-- stages: end -->"
    assert text[text.index(begin) + len(begin) : text.index(end)] == pipeline.markdown_table()


def test_dvc_yaml_can_be_read() -> None:
    """It is documentation: `desc` on every stage, and short enough to read at once."""
    assert all(body(name)["desc"].endswith(".") for name in STAGES)
    assert len(TEXT.splitlines()) <= 250


OUTS: dict[str, Callable[[], set[Path]]] = {
    "host": lambda: {paths.HOST},
    "fetch": lambda: {paths.source(KEY), paths.spec(KEY), paths.recipes(KEY, "optimize").parent},
    "data": lambda: {paths.evaluation(KEY), paths.calibration(KEY), paths.workloads(KEY)},
    "reference": lambda: {paths.reference(KEY), paths.published(KEY)},
    "export": lambda: {paths.step(KEY, "export")},
    "optimize": lambda: {paths.step(KEY, "optimize")},
    "quantize_onnx": lambda: {paths.step(KEY, "quantize_onnx"), paths.fallback_costs(KEY, "onnx")},
    "quantize_openvino": lambda: {paths.step(KEY, "quantize_openvino"), paths.fallback_costs(KEY, "openvino")},
    "parity": lambda: {paths.parity(KEY)},
    "evaluate": lambda: {paths.quality(KEY)},
    "benchmark": lambda: {paths.benchmark(KEY)},
    "pack": lambda: {paths.package(KEY)},
    "publish": lambda: {paths.receipt(KEY)},
    "report": lambda: {
        paths.LEADERBOARD,
        paths.LEADERBOARD_CSV,
        paths.PLOT_STEM.with_suffix(".png"),
        paths.PLOT_STEM.with_suffix(".svg"),
        paths.SITE,
    },
}


@pytest.mark.parametrize("name", STAGES)
def test_outs_are_the_paths_that_the_code_writes(name: str) -> None:
    """DVC's static paths mirror stages/core/paths.py."""
    assert names(body(name)["outs"]) == {path.as_posix() for path in OUTS[name]()}


def test_nothing_depends_on_what_a_stage_took() -> None:
    """Seconds and memory differ from run to run; a dependency on them would run everything for ever."""
    assert not [name for name in STAGES for path in body(name).get("deps", []) if "resources" in path]


@pytest.mark.parametrize("name", STAGES)
def test_dependencies_exist_or_are_made(name: str) -> None:
    """Every dependency is a file in git, or something that another stage or command writes."""
    made = {path for stage in STAGES for path in names(body(stage)["outs"])}
    made |= {f"registry/locks/{KEY}.json", "registry/data", "artifacts/packages", f"artifacts/models/{KEY}/variants"}
    made |= {f"registry/benchmarks/{KEY}", f"registry/parity/{KEY}"}
    made |= {paths.recipes(KEY, step).as_posix() for step in get_args(Step)}
    for path in body(name).get("deps", []):
        assert path in made or (REPOSITORY / path).exists(), path


@pytest.mark.parametrize("name", BUILDING)
def test_variants_lie_below_the_folder_that_later_stages_depend_on(name: str) -> None:
    """`variants` stands for what all building stages write."""
    assert paths.step(KEY, name).is_relative_to(f"artifacts/models/{KEY}/variants")  # type: ignore[arg-type]
    for later in ("parity", "benchmark", "pack", "publish"):
        assert f"artifacts/models/{KEY}/variants" in body(later)["deps"]


@pytest.mark.parametrize("name", [*BUILDING, "reference", "parity", "benchmark", "evaluate", "pack", "report"])
def test_what_the_toolchain_computes_depends_on_its_pins(name: str) -> None:
    """Another version of torch or of a runtime may give other bytes or figures."""
    assert "constraints.txt" in body(name)["deps"]


@pytest.mark.parametrize("name", BUILDING)
def test_recipes_and_tools_are_known(name: str) -> None:
    """A building stage tracks its own recipes, and its row says which tools it records and who checks the recipes."""
    row = pipeline.stage(name)
    tracked = [entry for entry in body(name)["params"] if isinstance(entry, str) and entry.startswith("recipes")]
    assert tracked == [f"recipes.{name}"]
    read = [path for path in body(name)["deps"] if "/recipes/" in path]
    assert read == [paths.recipes(KEY, name).as_posix()]  # type: ignore[arg-type]
    assert set(row.toolchains) == {each.backend for each in rows_of_step(name)}  # type: ignore[arg-type]
    for toolchain in row.toolchains.values():
        assert toolchain.tools
        assert f"{toolchain.recipe.replace('.', '/')}.py".startswith(tuple(body(name)["deps"]))


@pytest.mark.parametrize("row", pipeline.STAGES, ids=lambda row: row.name)
def test_what_children_import_exists(row: pipeline.Stage) -> None:
    """A name that is not there would be passed over, and every child process would import for itself."""
    for module in row.children:
        assert importlib.util.find_spec(module) is not None


@pytest.mark.parametrize("name", ["quantize_onnx", "quantize_openvino"])
def test_fallback_recipes_depend_on_what_judges_them(name: str) -> None:
    """Thresholds of int8, the reference, and the pairs decide which recipe is kept."""
    read = {"fallback", "thresholds.int8", "parity.batch_size", "parity.rows", "parity.top_k", "data.relevant_from"}
    assert read <= set(body(name)["params"])
    assert {f"artifacts/models/{KEY}/reference.json", f"artifacts/models/{KEY}/evaluation.jsonl"} <= set(
        body(name)["deps"]
    )


@pytest.mark.parametrize("name", ["parity", "benchmark", "pack", "report"])
def test_figures_depend_on_the_host(name: str) -> None:
    """On another host everything is measured again, and tables show that host first."""
    assert paths.HOST.as_posix() in body(name)["deps"]


@pytest.mark.parametrize("name", STAGES)
def test_parameters_are_those_that_the_code_reads(name: str) -> None:
    """Each parameter exists in params.yaml, and each section that the stage's own module reads is stated."""
    params = read_yaml(REPOSITORY / "params.yaml")
    stated = [entry for entry in body(name).get("params", []) if isinstance(entry, str)]
    for key_path in stated:
        value = params
        for key in key_path.split("."):
            value = value[key]
    read = set(re.findall(rf"params(?:\(\))?\.({'|'.join(BuildParams.__struct_fields__)})\b", source(name)))
    assert read <= {key_path.split(".")[0] for key_path in stated}


@pytest.mark.parametrize("name", [*(name for name in STAGES if "load_entry" in source(name)), "publish"])
def test_a_stage_that_reads_the_entry_tracks_it(name: str) -> None:
    """DVC does not watch the file of `vars`: each stage tracks its own entry, and no other model's."""
    tracked = [entry for entry in body(name)["params"] if isinstance(entry, dict)]
    assert tracked == [{"registry/models.yaml": [f"models.{KEY}"]}]


def test_figures_of_speed_are_never_restored_from_another_machine() -> None:
    """`persist` keeps DVC's run-cache away from the benchmark and from receipts."""
    assert {"artifacts/models/${key}/benchmark.json": {"persist": True}} in body("benchmark")["outs"]
    (receipt,) = body("publish")["outs"]
    assert next(iter(receipt.values()))["persist"] is True


def test_dvc_asks_nobody() -> None:
    """No analytics, no check for updates, and no links into the cache, which onnxruntime refuses."""
    text = (REPOSITORY / ".dvc" / "config").read_text()
    assert re.search(r"analytics = false", text)
    assert re.search(r"check_update = false", text)
    assert 'type = "reflink,copy"' in text
