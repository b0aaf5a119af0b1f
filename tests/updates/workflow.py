"""Runs the shell steps of a workflow file as GitHub would, one after the other, in a clone on this machine."""

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

WORKFLOWS = Path(__file__).resolve().parents[2] / ".github" / "workflows"

# What stands in for GitHub's own program: remembers what it was told, and has no pull request to edit.
GH = """#!/bin/sh
echo "$@" >> "$GH_LOG"
case "$*" in
  *"pr edit"*) exit 1 ;;
  *--body-file*) cat body.md >> "$GH_LOG" ;;
esac
"""


def steps(workflow: str, job: str) -> list[dict[str, Any]]:
    """The steps of a job that run a command, but the one that installs, which the tests have done already."""
    parsed = yaml.safe_load((WORKFLOWS / f"{workflow}.yml").read_text(encoding="utf-8"))
    return [step for step in parsed["jobs"][job]["steps"] if "run" in step and step["name"] != "Install"]


def run_job(
    workflow: str, job: str, clone: Path, environment: Mapping[str, str], values: Mapping[str, str]
) -> tuple[list[str], str]:
    """Run a job in `clone`; the names of the steps that ran, and all that they printed.

    `values` are what GitHub would put in for `${{ … }}`. Raises AssertionError at the first step that fails.
    """
    ran, printed, known = [], "", dict(values)
    files = {name: clone.parent / f"{clone.name}.{name}" for name in ("GITHUB_OUTPUT", "GITHUB_PATH", "GH_LOG")}
    for path in files.values():
        path.touch()
    binaries = clone.parent / "bin"
    binaries.mkdir(exist_ok=True)
    (binaries / "gh").write_text(GH)
    (binaries / "gh").chmod(0o755)
    base = {**environment, "PATH": f"{binaries}{os.pathsep}{environment['PATH']}"}
    base |= {name: str(path) for name, path in files.items()}
    for step in steps(workflow, job):
        if "if" in step and not _holds(step["if"], known):
            continue
        own = {name: _filled(str(value), known) for name, value in step.get("env", {}).items()}
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
            cwd=clone,
            env={**base, **own},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
        printed += done.stdout
        assert done.returncode == 0, f"{workflow}: {step['name']}:\n{done.stdout}"
        ran.append(step["name"])
        if "id" in step:
            for line in files["GITHUB_OUTPUT"].read_text().splitlines():
                name, _, value = line.partition("=")
                known[f"steps.{step['id']}.outputs.{name}"] = value
    return ran, printed + files["GH_LOG"].read_text()


def _holds(condition: str, known: Mapping[str, str]) -> bool:
    name, _, expected = condition.partition(" == ")
    return known.get(name, "") == expected.strip("'")


def _filled(text: str, known: Mapping[str, str]) -> str:
    return re.sub(r"\$\{\{ *([\w.]+) *\}\}", lambda match: known[match.group(1)], text)
