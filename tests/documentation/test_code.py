"""The documents' code blocks run as they stand, each by itself, beside a published folder of the demo model."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema
import pytest
import yaml

from artificer.manifest import canonical_json

ROOT = Path(__file__).parents[2]
DOCUMENTS = [path for pattern in ("*.md", "docs/**/*.md", "tools/*/*.md") for path in sorted(ROOT.glob(pattern))]
FENCE = re.compile(r"^(?:<!--(?P<comment>.*?)-->\n)?```(?P<language>\w*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
NOT_RUN = "not run:"
SHELL = [shutil.which("bash") or "sh", "-euc"]
COMMANDS = {"python": [sys.executable, "-c"], "sh": SHELL}
SHOWN = {"text", "mermaid", "ini"}


class Block(NamedTuple):
    """A fenced block of a document, and the comment before it that says why it is not run."""

    place: str
    language: str
    code: str
    not_run: str | None


def blocks(path: Path) -> list[Block]:
    """All blocks of a document."""
    text = path.read_text(encoding="utf-8")
    found = []
    for match in FENCE.finditer(text):
        place = f"{path.relative_to(ROOT).as_posix()}:{text[: match.start('language')].count(chr(10)) + 1}"
        comment = (match["comment"] or "").strip()
        reason = comment.removeprefix(NOT_RUN).strip() if comment.startswith(NOT_RUN) else None
        found.append(Block(place, match["language"], match["code"], reason))
    return found


BLOCKS = [block for path in DOCUMENTS for block in blocks(path)]


def parameters(*languages: str) -> list[Any]:
    """The blocks in these languages; those that are not run are skipped with their reason, which pytest lists."""
    return [
        pytest.param(block, id=block.place, marks=[pytest.mark.skip(reason=block.not_run)] if block.not_run else [])
        for block in BLOCKS
        if block.language in languages
    ]


@pytest.fixture(scope="module")
def project(published: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the examples name: the project's own files, and the demo model as if it had been published."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("registry", "params.yaml", "dvc.yaml", "dvc.lock"):
        (folder / name).symlink_to(ROOT / name)
    shutil.copytree(published, folder / "dist/artificer/demo-reranker")
    return folder


def test_every_block_names_its_language_and_every_reason_is_given() -> None:
    """A block is run, parsed, or of a language that is only shown; a block that is not run says why."""
    for block in BLOCKS:
        assert block.language in {*COMMANDS, "yaml", *SHOWN}, f"{block.place}: unknown language {block.language!r}"
        assert block.not_run != "", f"{block.place}: no reason after `{NOT_RUN}`"
    marks = sum(path.read_text(encoding="utf-8").count(f"\n<!-- {NOT_RUN}") for path in DOCUMENTS)
    assert marks == sum(block.not_run is not None for block in BLOCKS), "a `not run` comment is not above a block"


@pytest.mark.toolchain
@pytest.mark.parametrize("block", parameters("python", "sh"))
def test_a_block_runs_as_it_stands(block: Block, project: Path, tmp_path: Path) -> None:
    """A reader who copies a Python or shell block into a built project gets no error."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT))),
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])),
        "ARTIFICER_CACHE": str(tmp_path / "cache"),
        "HF_ENDPOINT": "http://127.0.0.1:9",  # nobody listens there: a block that needs the Hub fails
    }
    done = subprocess.run(
        [*COMMANDS[block.language], block.code],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{block.place}:\n{block.code}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("block", parameters("yaml"))
def test_a_yaml_block_is_accepted(block: Block) -> None:
    """A YAML block parses, and one that is of the registry fits its published schema."""
    parsed = yaml.safe_load(block.code)
    assert canonical_json(parsed)
    if block.code.startswith("# registry/models.yaml"):
        jsonschema.validate(parsed, yaml.safe_load((ROOT / "registry/models.schema.json").read_text()))
