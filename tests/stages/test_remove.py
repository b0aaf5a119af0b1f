"""`remove`: what `add` wrote is gone, byte for byte; what was published stays."""

import shutil
from pathlib import Path

import pytest
import yaml

from tests.stages import project
from tests.stages.conftest import Stages
from tests.stages.fabricated import SLUG, Fabricated
from tests.stages.project import read_json, read_yaml

REGISTRY = Path("registry/models.yaml")
FOLDER = f"checkpoints/{SLUG}"
HEAD = "# Our models.\nmodels:\n  # the first one\n  first: {source: {path: x}, task: text-ranking, license: mit}\n"
OTHER = "  fetch@first:\n    cmd: python -m stages fetch first\n    deps:\n    - path: a\n      md5: b\n"
DVC_LOCK = "schema: '2.0'\nstages:\n  host:\n    cmd: python -m stages host\n"


@pytest.fixture(autouse=True)
def _in_a_project(root: Path, tiny: Path) -> None:
    """Every test has the tiny checkpoint at hand."""
    shutil.copytree(tiny, root / FOLDER)


def lines(text: str) -> list[str]:
    """Without the last line, which every removal has."""
    *found, last = text.splitlines()
    assert last == "left DVC's cache: `dvc gc --workspace` removes what nothing uses"
    return found


@pytest.mark.parametrize("text", [HEAD, "models: {}\n", "models:\n"])
def test_add_and_remove_leave_every_byte(root: Path, tmp_path: Path, stages: Stages, text: str) -> None:
    """Entry, lock, data sets, their file and their pins."""
    REGISTRY.write_text(text)
    data = tmp_path / "mine.csv"
    data.write_text("query,passage,label\n" + "q,p,1\n" * 9)
    before = project.snapshot(root)
    assert stages("add", FOLDER, "--license", "mit", "--evaluation", str(data), "--calibration", str(data))[0] == 0
    assert project.snapshot(root) != before
    code, out, err = stages("remove", SLUG)
    assert (code, err) == (0, "")
    assert lines(out) == [
        "removed models.tiny from registry/models.yaml",
        "removed data.sets.mine from params.yaml",
        "removed registry/locks/tiny.json",
        "removed registry/data/mine.csv",
    ]
    after = project.snapshot(root)
    if text == "models:\n":
        assert after["registry/models.yaml"] == b"models: {}\n"
        after["registry/models.yaml"] = before["registry/models.yaml"]
    assert after == before


def test_what_was_built_goes_and_what_was_published_stays(root: Path, tiny: Path, stages: Stages) -> None:
    """The receipt is left, since it says where the published files are; a dry run only says so."""
    before = project.snapshot(root)
    Fabricated().write(root, tiny)
    for stage in ("pack", "publish"):
        assert stages(stage, SLUG)[0] == 0
    ours = f"  fetch@{SLUG}:\n    cmd: python -m stages fetch {SLUG}\n    outs:\n    - path: x\n"
    Path("dvc.lock").write_text(DVC_LOCK + ours + OTHER + f"  pack@{SLUG}:\n    cmd: x\n")
    full = project.snapshot(root)
    _, out, _ = stages("remove", SLUG, "--dry-run")
    assert project.snapshot(root) == full
    expected = [line.replace("would remove", "removed") for line in lines(out)]
    code, out, _ = stages("remove", SLUG)
    assert code == 0
    assert lines(out) == expected
    assert expected == [
        "removed models.tiny from registry/models.yaml",
        "removed registry/locks/tiny.json",
        "removed artifacts/models/tiny",
        "removed artifacts/packages/tiny",
        "removed reports/metrics/tiny.json",
        "removed reports/resources/tiny",
        "removed the stages of tiny from dvc.lock",
        "left registry/receipts/tiny.json, and what it names: artificer/tiny stays published, and an index that lists "
        "it is not changed",
    ]
    assert Path("dvc.lock").read_text() == DVC_LOCK + OTHER
    after = project.snapshot(root)
    new = {name for name in after if name not in before and not name.startswith("dist/")}
    assert new == {"registry/receipts/tiny.json", "artifacts/host.json", "dvc.lock"}
    assert {name for name in full if name.startswith("dist/")} == {name for name in after if name.startswith("dist/")}


def test_a_lock_of_dvc_without_other_stages_stays_readable(root: Path, stages: Stages) -> None:
    """DVC refuses `stages:` without a mapping."""
    stages("add", FOLDER, "--license", "mit")
    Path("dvc.lock").write_text(f"schema: '2.0'\nstages:\n  fetch@{SLUG}:\n    cmd: x\n")
    assert stages("remove", SLUG)[0] == 0
    assert read_yaml(root / "dvc.lock") == {"schema": "2.0", "stages": {}}


def test_what_others_use_stays(root: Path, tmp_path: Path, stages: Stages) -> None:
    """A set that another entry names, a file that another set reads, a file that was here before or has changed."""
    data = tmp_path / "mine.jsonl"
    data.write_text('{"query": "q", "passage": "p", "label": 1}\n' * 9)
    add = ("add", FOLDER, "--license", "mit", "--evaluation", str(data))
    for slug, more in (("one", ()), ("two", ()), ("three", ("--columns", "label="))):
        assert stages(*add, "--slug", slug, *more)[0] == 0
    assert "data.sets" not in stages("remove", "one")[1]
    out = stages("remove", "three")[1]
    assert "removed data.sets.three-mine from params.yaml" in out
    assert "left registry/data/mine.jsonl: it was there before, has changed since, or is in use" in out
    assert stages("check")[0] == 0
    assert list(read_json(root / "registry/locks/data-sets.json")) == ["mine"]


def test_a_malformed_entry_can_be_removed(stages: Stages) -> None:
    """It may be the reason."""
    REGISTRY.write_text("models:\n  bad: {source: 1}\n  worse: 2\n")
    assert stages("remove", "bad")[0] == 0
    assert yaml.safe_load(REGISTRY.read_text()) == {"models": {"worse": 2}}


def test_a_model_that_is_not_there_is_said(stages: Stages) -> None:
    """With those that are."""
    code, _, err = stages("remove", "gone")
    assert (code, err) == (3, "error: registry/models.yaml: models: unknown model 'gone'; known: none.\n")
