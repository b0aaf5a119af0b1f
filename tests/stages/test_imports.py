"""What may import what: the runtime no builder, the command line no toolchain."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.stages import project
from tests.stages.project import REPOSITORY, SLUG, environment

TOOLCHAIN = ("torch", "transformers", "optimum", "nncf", "openvino", "onnxruntime", "datasets", "matplotlib")
FORBIDDEN_IN_RUNTIME = ("stages", "torch", "transformers", "optimum", "sentence_transformers", "dvc", "yaml")


def modules_after(code: str, root: Path) -> list[str]:
    """The modules of TOOLCHAIN and the builder that are imported after running `code` in a process of its own."""
    names = (*TOOLCHAIN, "stages")
    report = f"import sys; print([m for m in {names!r} if m in sys.modules])"
    path = {"PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'src'}", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"],
        cwd=root,
        env={**environment(root), **path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: list[str] = ast.literal_eval(done.stdout.splitlines()[-1])
    return found


def test_importing_artificer_imports_no_runtime_and_no_toolchain(tmp_path: Path) -> None:
    """Backends are imported on use, the builder never."""
    assert modules_after("import artificer; artificer.load, artificer.Manifest", tmp_path) == []


@pytest.mark.parametrize("arguments", [["check"], ["list"]])
def test_looking_at_the_registry_imports_no_toolchain(tiny: Path, tmp_path: Path, arguments: list[str]) -> None:
    """A question costs a fraction of a second, not five."""
    root = project.make_project(tmp_path / "project", {SLUG: tiny})
    code = f"from stages.cli import main; assert main({arguments!r}) == 0"
    assert modules_after(code, root) == ["stages"]


def test_parsing_the_command_line_imports_no_toolchain(tmp_path: Path) -> None:
    """`--help` of every stage is at hand at once."""
    assert modules_after("from stages.cli import parser; parser().parse_args(['fetch', 'm'])", tmp_path) == ["stages"]


@pytest.mark.parametrize("path", sorted((REPOSITORY / "src" / "artificer").rglob("*.py")), ids=lambda path: path.name)
def test_no_module_of_the_runtime_names_the_builder(path: Path) -> None:
    """Not even inside a function: services install neither torch nor the builder."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        assert not [name for name in names if name.split(".")[0] in FORBIDDEN_IN_RUNTIME]


def test_settings_that_keep_libraries_quiet_are_set_before_they_are_imported(tmp_path: Path) -> None:
    """No telemetry, and offline for every stage that has no business with the Hub."""
    code = (
        "from stages.core import environment; environment.prepare(online=False); "
        "import os, huggingface_hub.constants as c; "
        "assert c.HF_HUB_OFFLINE and c.HF_HUB_DISABLE_TELEMETRY; "
        "import sys; assert sys.modules['openvino_telemetry'] is None; assert os.environ['NNCF_CI'] == '1'"
    )
    assert modules_after(code, tmp_path) == ["stages"]
