"""Two branches that both added a model are merged by the recipe of docs/building.md, and nothing is built twice."""

from pathlib import Path

import pytest
import yaml

from tests.hub_publish import tiny
from tests.updates.test_workflows import SOURCE, environment, hub, make_project, run
from tools import merge_lock

__all__ = ["environment", "hub"]


@pytest.mark.toolchain
def test_two_branches_that_both_added_a_model(tmp_path: Path, environment: dict[str, str]) -> None:
    """Git conflicts in the registry, in dvc.lock and in the reports; after the recipe, only what covers all models
    runs."""
    project = tmp_path / "project"
    make_project(project)
    run(
        project,
        environment,
        "git init --quiet --initial-branch main && dvc init --quiet",
        f"python -m stages add {SOURCE} --slug base --license mit && dvc repro --quiet report",
        "git add . && git commit --quiet --message First",
    )
    for slug in ("one", "two"):
        run(
            project,
            environment,
            f"git switch --quiet --create {slug} main && dvc checkout --quiet",
            f"python -m stages add {SOURCE} --slug {slug} --license mit && dvc repro --quiet report",
            f"git add . && git commit --quiet --message {slug}",
        )
    conflicts = run(project, environment, "git switch --quiet one", "! git merge --no-commit two")
    for name in ("registry/models.yaml", "dvc.lock"):
        assert f"CONFLICT (content): Merge conflict in {name}" in conflicts
    entries = yaml.safe_load(run(project, environment, "git show two:registry/models.yaml"))["models"]
    ours = yaml.safe_load(run(project, environment, "git show one:registry/models.yaml"))["models"]
    tiny.write_yaml(project / "registry/models.yaml", {"models": {**ours, **entries}})
    printed = run(
        project,
        environment,
        "python -m tools.merge_lock",
        "git checkout --ours reports",
        "dvc checkout --quiet --allow-missing",
        "python -m stages check",
        "dvc repro report",
        "git add . && git commit --quiet --message Merged",
    )
    assert "Changed on both branches: report." in printed
    assert "Running stage 'report'" in printed
    for stage in ("fetch", "pack"):
        for slug in ("base", "one", "two"):
            assert f"Stage '{stage}@{slug}' didn't change, skipping" in printed
    assert run(project, environment, "git status --porcelain") == ""
    assert set(yaml.safe_load((project / "dvc.lock").read_text())["stages"]) >= {"pack@base", "pack@one", "pack@two"}


def test_each_entry_comes_from_the_branch_that_changed_it() -> None:
    """A stage that both changed keeps ours, and is named; one that a branch removed is gone."""
    base = {"a": 1, "b": 1, "c": 1, "d": 1}
    theirs = {"a": 1, "b": 2, "c": 3, "d": 1, "other": 1}
    stages, both = merge_lock.merged(base, {"a": 2, "b": 1, "c": 2, "new": 1}, theirs)
    assert stages == {"a": 2, "b": 2, "c": 2, "new": 1, "other": 1}
    assert both == ["c"]


def test_without_a_merge_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is written."""
    monkeypatch.chdir(tmp_path)
    assert merge_lock.main() == 1
    assert capsys.readouterr().err == "error: no merge is in progress: run `git merge --no-commit BRANCH` first.\n"
    assert list(tmp_path.iterdir()) == []
