"""The shape of the two packages: what may lie where, how long a module is, how many parameters a function has."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from stages import pipeline
from tests.stages.imports import PACKAGES, imported
from tests.stages.project import REPOSITORY

MODULES = sorted(path for package in PACKAGES for path in package.rglob("*.py"))
LONGEST_STAGE = 150
MOST_LINES = 350
MOST_PARAMETERS = 8
PUBLIC = {"load", "predict", "rank"}  # keywords that users write; `predict` and `rank` are those of CrossEncoder
# Names of modules that two rooms may share, each with the reason: they are the same thing of two owners.
SHARED = {
    "cli": "the command line of each package",
    "errors": "the errors of each package",
    "export": "the exporter of each toolchain",
    "fallback_recipes": "the order of each toolchain",
    "fetch": "a stage is named as its command is",
    "host": "a stage is named as its command is",
    "sensitivity": "the ranking of each toolchain",
    "text_classification": "the runtime's and the building half of a task",
    "text_ranking": "the runtime's and the building half of a task",
}


def short(path: Path) -> str:
    """The path below the repository."""
    return path.relative_to(REPOSITORY).as_posix()


def test_the_top_of_stages_shows_the_pipeline() -> None:
    """One file a stage; beside them the table, the command line, and rooms."""
    files = {path.stem for path in (REPOSITORY / "stages").glob("*.py")}
    assert files == {row.name for row in pipeline.STAGES} | {"__init__", "__main__", "cli", "pipeline"}


@pytest.mark.parametrize("name", [row.name for row in pipeline.STAGES])
def test_stages_have_one_shape(name: str) -> None:
    """A docstring that names the stage, one public function, `run`, and at most 150 lines."""
    text = (REPOSITORY / "stages" / f"{name}.py").read_text(encoding="utf-8")
    tree = ast.parse(text)
    assert (ast.get_docstring(tree) or "").startswith(f"Stage `{name}`: ")
    defined = [node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    assert [each for each in defined if not each.startswith("_")] == ["run"]
    assert len(text.splitlines()) <= LONGEST_STAGE


def test_only_the_command_line_imports_a_stage() -> None:
    """What another module needs of a stage lies in a room."""
    stages = {REPOSITORY / "stages" / f"{row.name}.py" for row in pipeline.STAGES}
    assert not [short(path) for path in MODULES if imported(path) & stages and path not in stages]


def test_core_stands_alone() -> None:
    """Every stage depends on it, so it imports no other room."""
    core = REPOSITORY / "stages" / "core"
    builder = [path for module in core.glob("*.py") for path in imported(module) if "stages" in path.parts]
    assert {path.parent for path in builder} <= {core, core.parent}


@pytest.mark.parametrize("path", MODULES, ids=short)
def test_a_module_is_one_concept(path: Path) -> None:
    """Near 350 lines it wants splitting."""
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES


def test_a_name_means_one_thing() -> None:
    """No two modules of the two packages have one name, except those above."""
    places = defaultdict(list)
    for path in MODULES:
        places[path.stem].append(short(path))
    doubled = {name for name, found in places.items() if len(found) > 1}
    assert doubled - {"__init__", "__main__"} <= SHARED.keys()


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """All functions of a module, methods and nested ones too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.mark.parametrize("path", MODULES, ids=short)
def test_functions_have_few_parameters(path: Path) -> None:
    """More than eight belong into an object with a name."""
    for node in functions(path):
        count = len([*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs])
        count -= bool(node.args.args) and node.args.args[0].arg in ("self", "cls")
        assert count <= MOST_PARAMETERS or node.name in PUBLIC, node.name
