"""The table of `make test-compat` says what pyproject.toml declares; that command runs the environments themselves."""

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from tools.compat import __main__ as command
from tools.compat import matrix
from tools.compat.environments import EXTRAS
from tools.compat.suite import STEPS

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def _declared() -> dict[str, Requirement]:
    extras = [line for extra in EXTRAS.split(",") for line in PROJECT["optional-dependencies"][extra]]
    return {each.name: each for each in map(Requirement, [*PROJECT["dependencies"], *extras])}


def _bound(requirement: Requirement, operator: str) -> Version:
    return next(Version(each.version) for each in requirement.specifier if each.operator == operator)


def test_the_row_of_floors_pins_what_the_project_declares() -> None:
    """A floor that is raised or lowered is tested as it is."""
    row = matrix.read_rows()["floors"]
    pinned = {each.name: _bound(each, "==") for each in map(Requirement, row.pins)}
    assert pinned == {name: _bound(each, ">=") for name, each in _declared().items()}
    assert row.python == PROJECT["requires-python"].removeprefix(">=")


def test_each_major_of_the_hub_client_has_a_row() -> None:
    """What `[hub]` accepts is what is tested."""
    pins = [Requirement(pin) for row in matrix.read_rows().values() for pin in row.pins]
    majors = {_bound(pin, "==").major for pin in pins if pin.name == "huggingface_hub" and "==" in str(pin)}
    assert majors == set(range(_bound(_declared()["huggingface_hub"], "<").major))


def test_a_row_that_is_none_is_refused(tmp_path: Path) -> None:
    """A misspelt key would be ignored."""
    table = tmp_path / "environments.toml"
    table.write_text('[one]\npython = "3.11"\npin = []\n')
    with pytest.raises(ValueError, match=r"environments\.toml: \[one\]: expected python and pins"):
        matrix.read_rows(table)


def test_a_row_without_its_interpreter_is_skipped_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody takes it for passed."""
    monkeypatch.setattr(command, "FOLDER", tmp_path)
    monkeypatch.setattr(command, "build_wheel", lambda: tmp_path)
    monkeypatch.setattr(command, "build_published", lambda: tmp_path)
    monkeypatch.setattr(command, "read_rows", lambda: {"future": matrix.Row("future", "3.99", ())})
    assert command.main([]) == 0
    assert capsys.readouterr().out == "future: skipped: there is no Python 3.99 here\n"
    assert matrix.interpreter("3.99") is None


def test_the_steps_are_those_that_the_scenario_runs() -> None:
    """A step that nothing runs proves nothing."""
    scenario = (ROOT / "tools/compat/scenario.py").read_text(encoding="utf-8")
    assert [name for name in STEPS if f'step("{name}"' not in scenario] == []
