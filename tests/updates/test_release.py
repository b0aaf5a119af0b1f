"""The release workflow: what each job may do, and the steps that need no other machine, run on copies."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.updates.workflow import WORKFLOWS, steps

ROOT = WORKFLOWS.parents[1]
JOBS: dict[str, Any] = yaml.safe_load((WORKFLOWS / "release.yml").read_text(encoding="utf-8"))["jobs"]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]


def run_step(job: str, name: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """A step's commands in `folder`, with this interpreter first on the path."""
    command = next(step["run"] for step in steps("release", job) if step["name"] == name)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", command],
        cwd=folder,
        env={**os.environ, "PATH": path, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_only_the_jobs_that_sign_may_ask_for_an_identity() -> None:
    """And they run nothing of this repository: no checkout, no command that the tree could change."""
    signing = {name for name, job in JOBS.items() if job["permissions"].get("id-token") == "write"}
    assert signing == {"attest", "pypi"}
    for name in signing:
        assert [step["uses"].partition("@")[0] for step in JOBS[name]["steps"]] == [
            "actions/download-artifact",
            "actions/attest-build-provenance" if name == "attest" else "pypa/gh-action-pypi-publish",
        ]


def test_nothing_is_attested_or_published_before_it_was_tested() -> None:
    """Each job waits for the one before it."""
    assert set(JOBS["test"]["needs"]) == {"build", "folder"}
    assert set(JOBS["attest"]["needs"]) == {"build", "test"}
    assert JOBS["attach"]["needs"] == JOBS["pypi"]["needs"] == "attest"
    assert JOBS["pypi"]["if"] == "vars.PUBLISH_TO_PYPI == 'true'"


def test_the_wheel_is_tested_without_a_checkout() -> None:
    """So that nothing of the source tree can be imported."""
    assert not any("checkout" in step.get("uses", "") for step in JOBS["test"]["steps"])


@pytest.mark.parametrize(("tag", "code"), [(f"v{VERSION}", 0), ("v9.9.9", 1), (VERSION, 1)])
def test_a_tag_that_is_not_the_version_is_refused(tmp_path: Path, tag: str, code: int) -> None:
    """The message names both."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    done = run_step("build", "Compare the tag with the version", tmp_path, TAG=tag)
    assert done.returncode == code
    assert done.stdout == "" if code == 0 else f"The tag is {tag} and pyproject.toml says {VERSION}" in done.stdout


def test_files_are_attached_to_a_release_that_exists_or_to_a_new_one(tmp_path: Path) -> None:
    """A release that a person drafted keeps its text."""
    (tmp_path / "release-out").mkdir()
    (tmp_path / "release-out" / "artificer.whl").touch()
    program = tmp_path / "bin" / "gh"
    program.parent.mkdir()
    for exists, expected in (("0", "upload"), ("1", "create")):
        program.write_text(f'#!/bin/sh\necho "$@"\nif [ "$2" = view ]; then exit {exists}; fi\n')
        program.chmod(0o755)
        path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-eo", "pipefail", "-c", steps("release", "attach")[0]["run"]],
            cwd=tmp_path,
            env={"PATH": path, "TAG": "v1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0
        last = done.stdout.splitlines()[-1]
        assert last.startswith(f"release {expected} v1 ")
        assert last.endswith("release-out/artificer.whl")
