"""What `list` prints."""

import platform
import shutil
from pathlib import Path

import pytest

from tests.stages import project
from tests.stages.conftest import Stages
from tests.stages.fabricated import SLUG, Fabricated
from tests.stages.project import read_json

REGISTRY = Path("registry/models.yaml")


def test_list_prints_what_there_is_of_each_model(
    root: Path, tiny: Path, stages: Stages, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Source, pin, data, what passed, the fastest, where it is published; also of what is not built."""
    monkeypatch.setenv("COLUMNS", "80")
    Fabricated(statuses={"onnx-O2": ("failed", "x")}, speedups={"onnx-O3": 9.0}).write(root, tiny)
    stages("pack", SLUG)
    stages("publish", SLUG)
    with project.edited(root / REGISTRY) as registry:
        registry["models"]["other"] = {"source": {"path": "gone"}, "task": "text-classification", "license": "mit"}
        registry["models"]["other"]["data"] = {"evaluation": "imdb", "calibration": "none"}
    code, out, err = stages("list")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "registry/models.yaml: 2 models",
        "",
        "tiny",
        "  source     checkpoints/tiny, pinned",
        "  task       text-ranking, license mit",
        "  data       judged on demo-pairs (48 rows, labelled), calibrated on",
        "             demo-calibration (16 rows)",
        "  variants   11 of 12 passed; fastest: onnx-O3, 9.00x torch on amd-test-avx2-2c",
        "  published  artificer/tiny",
        "",
        "other",
        "  source     gone, is not pinned",
        "  task       text-classification, license mit",
        "  data       cannot be read: registry/models.yaml:",
        "             models.other.data.calibration: no set 'none' in params.yaml.",
        "  variants   not built",
        "  published  -",
    ]
    with project.edited(root / REGISTRY) as registry:
        registry["models"]["other"]["data"] = {"evaluation": "imdb"}
    assert "judged on imdb (of the Hub), calibrated on" in stages("list")[1]


def test_list_says_when_what_is_published_is_not_what_is_packed(
    root: Path, tiny: Path, stages: Stages, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that was removed, and a package that was made since, each with what to do."""
    monkeypatch.setenv("COLUMNS", "160")
    fabricated = Fabricated()
    fabricated.write(root, tiny)
    stages("pack", SLUG)
    stages("publish", SLUG)
    shutil.rmtree(root / "dist" / "artificer" / SLUG)
    _, out, _ = stages("list")
    assert "artificer/tiny (gone)" in out
    assert "Run `python -m stages publish tiny`." in out
    assert stages("publish", SLUG)[0] == 0
    assert "publish tiny" not in stages("list")[1]
    with project.edited(root / "params.yaml") as params:
        params["thresholds"]["fp32"]["spearman"] = 0.9
    stages("pack", SLUG)
    assert "artificer/tiny (differs)" in stages("list")[1]


def test_the_fastest_variant_is_one_that_the_machine_may_choose(
    root: Path, tiny: Path, stages: Stages, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A graph for another instruction set runs, and may be timed as the fastest, but no service here gets it."""
    monkeypatch.setenv("COLUMNS", "160")
    foreign = "onnx-quint8-avx2" if platform.machine() in ("arm64", "aarch64") else "onnx-qint8-arm64"
    Fabricated(speedups={foreign: 9.0, "onnx-O3": 5.0}).write(root, tiny)
    stages("pack", SLUG)
    assert "onnx-O3, 5.00x torch" in stages("list")[1]
    assert read_json(root / "reports" / "metrics" / f"{SLUG}.json")["fastest"]["speedup"] == 5.0


@pytest.mark.usefixtures("root")
def test_list_of_nothing(stages: Stages) -> None:
    """An empty registry is an empty list, and nothing that could be built."""
    code, out, _ = stages("list")
    assert (code, out) == (0, "registry/models.yaml: 0 models\n")
    code, _, err = stages("check")
    assert code == 3
    assert err == (
        "error: registry/models.yaml: models: nothing to build. Run `python -m stages add <repo-or-folder>`.\n"
    )
