"""Prove a packed model on this machine, of another class than the one that built it: nothing is built.

The working directory is the model's workspace. Its package comes from the DVC remote, as the lock names it.
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import get_args

from stages.core import files
from stages.core.copying import copy_file
from stages.core.errors import BuildError, first_line
from stages.core.variants import Step
from stages.fleet.fragments import Fragment, finished
from stages.fleet.model_build import as_a_repository, write_own_host
from stages.publishing.package import load_package

PACKAGE = Path(".dvc/tmp/proof/package")
RECORD = Path(".dvc/tmp/proof/record.json")
PACKAGED = ("reference", *get_args(Step), "pack")
"""The stages that made the files of a package."""
_PROVE = "import sys; from artificer.cli import main; sys.exit(main())"


def prove(slug: str, order: str) -> Fragment:
    """`artificer prove` on what `pack` made; the record is in the result. A failure is in it too; nothing is raised."""
    started = time.monotonic()
    failed = ""
    with as_a_repository():
        host = write_own_host()
        try:
            _pull(slug)
            _assemble(slug)
            _prove()
        except (BuildError, OSError) as error:
            failed = first_line(error, with_kind=False)
    record = "" if failed else RECORD.read_text(encoding="utf-8")
    return finished(slug, order, host, started, failed, record=record)


def _pull(slug: str) -> None:
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo() as repo:
            repo.pull([f"{name}@{slug}" for name in PACKAGED])
    except DvcException as error:
        problem = first_line(error.__cause__ or error, with_kind=False)
        raise BuildError(f"the DVC remote lacks what `pack@{slug}` made: {problem}") from None


def _assemble(slug: str) -> None:
    """The folder as it would be published."""
    package = load_package(slug)
    with files.staged_folder(PACKAGE) as folder:
        for entry in package.files:
            (folder / entry.path).parent.mkdir(parents=True, exist_ok=True)
            copy_file(package.origins[entry.path], folder / entry.path)


def _prove() -> None:
    """In a process of its own: it reads and writes a cache that ends with the workspace."""
    RECORD.unlink(missing_ok=True)
    cache = {"ARTIFICER_CACHE": str(RECORD.parent.resolve() / "cache")}
    command = [sys.executable, "-c", _PROVE, "prove", str(PACKAGE), "--out", str(RECORD)]
    done = subprocess.run(command, env={**os.environ, **cache}, stdout=sys.stdout, stderr=subprocess.PIPE, check=False)
    if not RECORD.is_file():
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        raise BuildError(f"artificer prove: {lines[-1] if lines else f'exit code {done.returncode}'}")
