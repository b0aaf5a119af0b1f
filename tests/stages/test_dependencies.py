"""A stage re-runs when its code changes, and when nothing else does: dvc.yaml against the imports."""

from pathlib import Path

import pytest

from stages import pipeline
from tests.stages.imports import only_errors, only_forwards, reached
from tests.stages.project import REPOSITORY
from tests.stages.test_pipeline_files import body

WITH_DEPS = [row.name for row in pipeline.STAGES if row.name != "host"]  # `host` asks the machine; see its `desc`
INFERENCE = ["reference", "quantize_onnx", "quantize_openvino", "parity", "evaluate", "benchmark"]
ONNX = ["optimize", "quantize_onnx"]
OPENVINO = ["quantize_openvino"]


def code(name: str) -> list[Path]:
    """The code that a stage depends on, as dvc.yaml says."""
    return [Path(path) for path in body(name)["deps"] if path.startswith(("stages/", "src/"))]


def modules(name: str) -> set[Path]:
    """The code that a stage runs, except what cannot change a result."""
    found = reached(REPOSITORY / "stages" / f"{name}.py")
    return {path.relative_to(REPOSITORY) for path in found if not (only_forwards(path) or only_errors(path))}


def covers(dependency: Path, module: Path) -> bool:
    """Whether a changed module changes the dependency."""
    return dependency == module or dependency in module.parents


@pytest.mark.parametrize("name", WITH_DEPS)
def test_everything_that_a_stage_runs_is_among_its_dependencies(name: str) -> None:
    """Its own file, and whatever that imports through both packages, inside functions too."""
    stated = code(name)
    assert Path("stages", f"{name}.py") in stated
    assert not sorted(path for path in modules(name) if not any(covers(each, path) for each in stated))


@pytest.mark.parametrize("name", WITH_DEPS)
def test_no_dependency_is_idle(name: str) -> None:
    """A folder that a stage runs nothing of would only make it run again for nothing."""
    run = modules(name)
    assert not [each for each in code(name) if not any(covers(each, path) for path in run)]


@pytest.mark.parametrize("name", WITH_DEPS)
def test_a_stage_is_no_library(name: str) -> None:
    """No stage imports another, nor the table: a new row must not change what every stage depends on."""
    top = {Path("stages", f"{row.name}.py") for row in pipeline.STAGES} | {Path("stages/pipeline.py")}
    assert modules(name) & top == {Path("stages", f"{name}.py")}


@pytest.mark.parametrize("name", INFERENCE)
def test_publishing_runs_no_inference_again(name: str) -> None:
    """A comment in stages/publishing/, or in what only publishing uses, is no dependency of a measuring stage."""
    for room in ("publishing", "packaging", "hub", "registry", "commands", "running"):
        assert not any(covers(each, Path("stages", room, "any.py")) for each in code(name))


@pytest.mark.parametrize(("names", "other"), [(ONNX, "openvino"), (OPENVINO, "onnx")])
def test_the_toolchains_are_apart(names: list[str], other: str) -> None:
    """A change for OpenVINO builds no ONNX graph again, nor the other way round."""
    for name in names:
        assert not any(covers(each, Path("stages/toolchain", other, "any.py")) for each in code(name))


def test_bytecode_is_no_change() -> None:
    """Importing a folder writes into it."""
    assert "__pycache__" in (REPOSITORY / ".dvcignore").read_text().split()
