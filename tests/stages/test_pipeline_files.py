"""dvc.yaml against the code: the paths, the dependencies and the parameters that a stage states are those it has."""

import ast
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stages import cli
from stages.core import paths
from stages.core.params import BuildParams
from tests.stages.project import REPOSITORY, read_yaml

KEY = "${key}"
STAGES: dict[str, Any] = read_yaml(REPOSITORY / "dvc.yaml")["stages"]
# The registry's own readers, errors, and what only says where things are: a change of them changes no artifact, and
# what an entry or params.yaml says is tracked as a parameter.
NO_RESULT = {
    "stages.core.child_process",
    "stages.core.copying",
    "stages.core.errors",
    "stages.core.files",
    "stages.core.params",
    "stages.core.paths",
    "stages.running.preflight",
    "stages.core.yaml_files",
}
# Modules that a stage imports for one reader of another stage's output, which is a dependency itself.
READERS = {
    "stages.benchmark",
    "stages.building.variant_builder",
    "stages.registry.model_list.checkpoint",
    "stages.data",
    "stages.evaluate",
    "stages.fetch",
    "stages.host",
    "stages.parity",
    "stages.reference",
    "stages.registry.model_list",
    "stages.records.model_spec",
    "stages.core.variants",
}
# What a stage imports for the lines that it prints.
PRINTED = {"benchmark": {"stages.metrics.figures", "stages.packaging.summary"}}


def body(name: str) -> dict[str, Any]:
    """A stage's definition, out of its loop."""
    found: dict[str, Any] = STAGES[name].get("do", STAGES[name])
    return found


def source(name: str) -> str:
    """The text of a stage's module."""
    return (REPOSITORY / "stages" / f"{name}.py").read_text(encoding="utf-8")


def names(entries: list[Any]) -> set[str]:
    """Paths of outs or metrics, with or without options."""
    return {next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries}


def imported(module: str) -> set[str]:
    """Modules of `stages` that a module imports anywhere in its text."""
    tree = ast.parse((REPOSITORY / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8"))
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "stages":
            found |= {f"stages.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("stages."):
            found.add(node.module)
    return found


def test_every_stage_of_the_pipeline_is_a_command_and_a_module() -> None:
    """dvc.yaml, the command line and the files in stages/ name the same stages."""
    assert set(STAGES) == {*cli.MODEL_STAGES, *cli.PIPELINE_STAGES}
    for name in STAGES:
        assert (REPOSITORY / "stages" / f"{name}.py").is_file()
        slug = f" {KEY}" if name in cli.MODEL_STAGES else ""
        assert body(name)["cmd"] == f"python -m stages {name}{slug}"


@pytest.mark.parametrize("name", STAGES)
def test_every_stage_says_what_it_is(name: str) -> None:
    """`dvc stage list` is documentation."""
    assert body(name)["desc"].endswith(".")


OUTS: dict[str, Callable[[], set[Path]]] = {
    "host": lambda: {paths.HOST},
    "fetch": lambda: {paths.source(KEY), paths.spec(KEY)},
    "data": lambda: {paths.evaluation(KEY), paths.calibration(KEY), paths.workloads(KEY)},
    "reference": lambda: {paths.reference(KEY)},
    "export_onnx": lambda: {paths.step(KEY, "export_onnx")},
    "optimize": lambda: {paths.step(KEY, "optimize")},
    "quantize_onnx": lambda: {paths.step(KEY, "quantize_onnx"), paths.fallback_costs(KEY, "onnx")},
    "export_openvino": lambda: {paths.step(KEY, "export_openvino")},
    "quantize_openvino": lambda: {paths.step(KEY, "quantize_openvino"), paths.fallback_costs(KEY, "openvino")},
    "parity": lambda: {paths.parity(KEY)},
    "evaluate": lambda: {paths.quality(KEY)},
    "benchmark": lambda: {paths.benchmark(KEY)},
    "pack": lambda: {paths.package(KEY), paths.metrics(KEY)},
    "publish": lambda: {paths.receipt(KEY)},
    "report": lambda: {
        paths.LEADERBOARD,
        paths.LEADERBOARD_CSV,
        paths.PLOT_STEM.with_suffix(".png"),
        paths.PLOT_STEM.with_suffix(".svg"),
    },
}


@pytest.mark.parametrize("name", STAGES)
def test_outs_are_the_paths_that_the_code_writes(name: str) -> None:
    """DVC's static paths mirror stages/core/paths.py."""
    stated = names(body(name)["outs"]) | names(body(name).get("metrics", []))
    taken = {paths.resources(KEY, name)} if name in cli.MEASURED_STAGES else set()
    assert stated == {path.as_posix() for path in OUTS[name]() | taken}


def test_nothing_depends_on_what_a_stage_took() -> None:
    """Seconds and memory differ from run to run; a dependency on them would run everything for ever."""
    assert not [name for name in STAGES for path in body(name).get("deps", []) if "resources" in path]


@pytest.mark.parametrize("name", STAGES)
def test_dependencies_exist_or_are_made(name: str) -> None:
    """Every dependency is a file in git, or something that another stage or command writes."""
    made = {path for stage in STAGES for path in names(body(stage)["outs"])}
    made |= {f"registry/locks/{KEY}.json", "registry/data", "artifacts/packages"}
    made |= {f"registry/benchmarks/{KEY}", f"registry/parity/{KEY}"}
    for path in body(name).get("deps", []):
        assert path in made or (REPOSITORY / path).exists(), path


@pytest.mark.parametrize("name", [name for name in STAGES if name != "host"])
def test_a_stages_code_is_among_its_dependencies(name: str) -> None:
    """Its own file, and every module of stages/ that its results come from, so that a changed line runs it again."""
    deps = set(body(name)["deps"])
    assert f"stages/{name}.py" in deps
    needed = {m for m in imported(f"stages.{name}") if m not in NO_RESULT | READERS | PRINTED.get(name, set())}
    missing = {m for m in needed if f"{m.replace('.', '/')}.py" not in deps}
    assert not missing


@pytest.mark.parametrize("name", ["export_onnx", "optimize", "quantize_onnx", "export_openvino", "quantize_openvino"])
def test_building_stages_depend_on_what_all_of_them_share(name: str) -> None:
    """The recorder of variants, and the pins of the toolchain, decide what is built."""
    deps = set(body(name)["deps"])
    assert {"stages/building/variant_builder.py", "constraints.txt", f"artifacts/models/{KEY}/spec.json"} <= deps
    assert "recipes" in body(name)["params"]
    assert "stages/toolchain/onnx/sidecars.py" in deps or "openvino" in name


@pytest.mark.parametrize("name", ["quantize_onnx", "quantize_openvino"])
def test_what_recovers_accuracy_depends_on_the_gate(name: str) -> None:
    """Thresholds of int8, the reference, the pairs, and the modules that judge decide which recipe is kept."""
    read = {"fallback", "thresholds.int8", "parity.batch_size", "parity.rows", "parity.top_k", "data.relevant_from"}
    assert read <= set(body(name)["params"])
    made = {f"artifacts/models/{KEY}/reference.json", f"artifacts/models/{KEY}/evaluation.jsonl"}
    code = {f"stages/{module}.py" for module in ("fallback", "judge", "figures", "sensitivity")}
    assert made | code <= set(body(name)["deps"])


@pytest.mark.parametrize("name", ["reference", "parity", "benchmark", "evaluate", "pack"])
def test_what_the_toolchain_computes_depends_on_its_pins(name: str) -> None:
    """Another version of torch or of a runtime may give other figures."""
    assert "constraints.txt" in body(name)["deps"]


@pytest.mark.parametrize("name", ["parity", "benchmark"])
def test_figures_depend_on_the_runtimes_own_code_and_on_the_host(name: str) -> None:
    """The runtime is measured as services run it; on another host everything is measured anew."""
    deps = set(body(name)["deps"])
    assert {
        "src/artificer/backends",
        "src/artificer/inference/scoring.py",
        "src/artificer/inference/tokenization.py",
    } <= deps
    assert "artifacts/host.json" in deps


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


@pytest.mark.parametrize(
    "name", [name for name in STAGES if "load_entry" in (REPOSITORY / f"stages/{name}.py").read_text()]
)
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
