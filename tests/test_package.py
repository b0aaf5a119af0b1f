"""What a service installs: the wheel, alone."""

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SLIM = {"msgspec", "numpy", "tokenizers"}


def copy_of_the_sources(folder: Path) -> None:
    """What a build of the wheel reads, so that nothing is left behind in this tree."""
    names = [
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "src",
        "stages",
        "tools",
        "registry/models.yaml",
        "tests/test_package.py",
    ]
    folder.mkdir(exist_ok=True)
    subprocess.run(["cp", "-r", "--parents", *names, str(folder)], cwd=ROOT, check=True)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree."""
    source = tmp_path_factory.mktemp("source")
    copy_of_the_sources(source)
    out = tmp_path_factory.mktemp("wheel")
    options = ["--quiet", "--no-deps", "--no-build-isolation", "-w", str(out)]
    command = [sys.executable, "-m", "pip", "wheel", *options, str(source)]
    subprocess.run(command, check=True, capture_output=True)
    return next(out.glob("artificer-*.whl"))


def test_the_wheel_holds_artificer_alone(wheel: Path) -> None:
    """No top-level module but `artificer` reaches a service, and the type marker does."""
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"artificer"}
    assert "artificer/py.typed" in names


def test_a_plain_install_needs_three_small_packages(wheel: Path) -> None:
    """The runtime's unconditional requirements are exactly numpy, tokenizers and msgspec."""
    metadata = next(name for name in zipfile.ZipFile(wheel).namelist() if name.endswith("METADATA"))
    text = zipfile.ZipFile(wheel).read(metadata).decode()
    required = re.findall(r"(?m)^Requires-Dist: ([\w-]+)(?!.*extra ==)", text)
    assert set(required) == SLIM


def test_the_wheel_imports_without_the_builder(wheel: Path, tmp_path: Path) -> None:
    """The installed package imports where torch, transformers, optimum, dvc and the runtimes are absent."""
    zipfile.ZipFile(wheel).extractall(tmp_path)
    absent = ["torch", "transformers", "optimum", "dvc", "datasets", "onnxruntime", "openvino", "huggingface_hub"]
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        f"for name in {absent!r}: sys.modules[name] = None\n"
        "import artificer, artificer.cli\n"
        f"assert artificer.__file__.startswith({str(tmp_path)!r})\n"
        "print(artificer.__version__)"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def test_every_requirement_is_pinned() -> None:
    """constraints.txt pins each package that pyproject.toml names for the builder and the developers."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["build"], *extras["dev"], *extras["onnx"], *extras["openvino"]]
    wanted += [*extras["signing"], *extras["bom"]]
    pinned = {line.partition("==")[0] for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line}

    def normal(name: str) -> str:
        return re.sub(r"[-_.]+", "-", name).lower()

    missing = {normal(re.split(r"[\[<>=~! ]", name)[0]) for name in wanted} - {normal(name) for name in pinned}
    assert not missing
