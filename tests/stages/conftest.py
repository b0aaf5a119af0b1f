"""Fixtures of the builder's tests: each test in a project of its own, none sees another's environment."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import huggingface_hub  # noqa: F401  # before any command sets HF_HUB_OFFLINE, which it reads at import
import pytest
from hypothesis import HealthCheck, settings

from artificer.manifest import Manifest
from stages import cli
from tests.sharing import built_once
from tests.stages import fabricated, project
from tests.stages.checkpoints import STORED

# This machine's load is no property of the code.
settings.register_profile("stages", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("stages")

Stages = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def _environment_restored() -> Iterator[None]:
    """Commands set variables for the libraries that they import; no test sees those of another."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of two layers with one label and a declared sigmoid; copy it before changing it."""
    return shutil.copytree(STORED, tmp_path_factory.mktemp("checkpoints") / "tiny")


@pytest.fixture(scope="session")
def proven(tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> Path:
    """A project whose model went through every stage from `fetch` to `evaluate`."""

    def build(folder: Path) -> None:
        project.make_project(folder, {project.SLUG: tiny})
        project.run(folder, *project.BUILDING_STAGES, *project.PROVING_STAGES)

    return built_once(tmp_path_factory, "proven", build)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: a project whose registry holds no model."""
    folder = tmp_path / "project"
    folder.mkdir()
    project.make_registry(folder)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def stages(capsys: pytest.CaptureFixture[str]) -> Stages:
    """Run a command of the builder in this process; its exit code, and what it wrote to stdout and stderr."""

    def run(*arguments: str) -> tuple[int, str, str]:
        assert arguments == ("check",) or Path.cwd() != project.REPOSITORY, "a test must not write into the repository"
        capsys.readouterr()
        code = cli.main(list(arguments))
        written = capsys.readouterr()
        return code, written.out, written.err

    return run


@pytest.fixture
def folder(root: Path, tiny: Path) -> Path:
    """A copy of the tiny checkpoint inside the project, for a test to spoil."""
    shutil.copytree(tiny, root / "checkpoints" / project.SLUG)
    return root / "checkpoints" / project.SLUG


@pytest.fixture
def pinned(root: Path, folder: Path) -> Path:
    """`folder`, in the registry and pinned."""
    entry = {"source": {"path": f"checkpoints/{project.SLUG}"}, "task": "text-ranking", "license": "mit"}
    project.write_yaml(root / "registry" / "models.yaml", {"models": {project.SLUG: entry}})
    project.pin(root, project.SLUG)
    return folder


@pytest.fixture
def packed(root: Path, tiny: Path, stages: Stages) -> Manifest:
    """A model of which some variants passed and some did not."""
    fabricated.tighten(root, "int8", score_max_abs=0.1, quality_ratio=0.98)
    fabricated.VARIED.write(root, tiny)
    assert stages("pack", fabricated.SLUG)[0] == 0
    return Manifest.from_json((root / "artifacts/packages" / fabricated.SLUG / "manifest.json").read_bytes())


@pytest.fixture
def copy(tmp_path: Path, proven: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of `proven` to spoil, as the working directory, elsewhere than where it was built."""
    shutil.copytree(proven, tmp_path / "a folder of another length")
    monkeypatch.chdir(tmp_path / "a folder of another length")
    return tmp_path / "a folder of another length"
