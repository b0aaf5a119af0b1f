"""The documents name only files, modules and functions that exist."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DECISIONS = ROOT / "docs" / "decisions"
DOCUMENTS = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/**/*.md", "benchmarks/**/*.md", "tools/**/*.md", "registry/data/*.md")
    for path in ROOT.glob(pattern)
)
HISTORY = ("CHANGELOG.md",)  # names what was, too

CODE = re.compile(r"`([^`\n]+)`")
PATH = re.compile(r"(?:src|stages|tests|docs|benchmarks|examples|tools)/[\w./-]*|(?:[\w-]+/)+[\w-]+\.(?:py|md)")
NAME = re.compile(r"(?:stages|artificer|tools)(?:\.\w+)+")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s#]+)(#[^)]*)?\)")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_leads_to_a_file(document: str) -> None:
    """A relative link of a document leads to a file or folder of the repository, and to a heading that it has."""
    broken = []
    for target, anchor in LINK.findall((ROOT / document).read_text()):
        if "://" in target or target.startswith("mailto:"):
            continue
        path = (ROOT / document).parent / target
        if not path.exists() or (anchor and path.suffix == ".md" and anchor[1:] not in _anchors(path)):
            broken.append(target + anchor)
    assert not broken


@pytest.mark.parametrize("document", [each for each in DOCUMENTS if each not in HISTORY])
def test_every_path_in_code_font_exists(document: str) -> None:
    """A path such as `stages/core/paths.py` in a document exists."""
    missing = [code for code in _code(document) if PATH.fullmatch(code) and not (ROOT / code).exists()]
    assert not missing


@pytest.mark.parametrize("document", [each for each in DOCUMENTS if each not in HISTORY])
def test_every_dotted_name_exists(document: str) -> None:
    """A name such as `stages.core.paths.lock` in a document is a module of the repository, or defined in one."""
    missing = [code for code in _code(document) if NAME.fullmatch(code) and not _defined(code)]
    assert not missing


def test_decisions_are_numbered_without_gaps() -> None:
    """Decisions are numbered from 1, each has the three sections, and the index lists each of them once, in order."""
    files = sorted(path.name for path in DECISIONS.glob("[0-9]*.md"))
    assert [int(name[:4]) for name in files] == list(range(1, len(files) + 1))
    listed = re.findall(r"^\| (\d+) \| \[[^\]]+\]\(([^)]+)\)", (DECISIONS / "README.md").read_text(), re.MULTILINE)
    assert listed == [(str(int(name[:4])), name) for name in files]
    for name in files:
        lines = (DECISIONS / name).read_text().splitlines()
        assert lines[0].startswith(f"# {int(name[:4])}. ")
        assert [line for line in lines if line.startswith("## ")] == ["## Context", "## Decision", "## Consequences"]


def test_code_refers_to_decisions_that_exist() -> None:
    """Code, parameters and documents refer to decisions by numbers that there are."""
    known = {int(path.name[:4]) for path in DECISIONS.glob("[0-9]*.md")}
    unknown = []
    for pattern in ("src/**/*.py", "stages/**/*.py", "*.yaml", "README.md", "docs/**/*.md", "benchmarks/**/*.md"):
        for path in ROOT.glob(pattern):
            found = re.findall(r"(?:docs/decisions/|\b[Dd]ecision )(\d+)", path.read_text())
            unknown += [(path.name, number) for number in found if int(number) not in known]
    assert not unknown


def _code(document: str) -> Iterator[str]:
    """What stands in code font, without call parentheses, outside fenced blocks."""
    text = re.sub(r"^```.*?^```", "", (ROOT / document).read_text(), flags=re.MULTILINE | re.DOTALL)
    for code in CODE.findall(text):
        yield code.removesuffix("()")


def _anchors(path: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a document."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _defined(name: str) -> bool:
    parts = name.split(".")
    place = ROOT / "src" if parts[0] == "artificer" else ROOT
    while parts and (place / parts[0]).is_dir():
        place /= parts.pop(0)
    module = place / "__init__.py"
    if parts and (place / f"{parts[0]}.py").is_file():
        module = place / f"{parts.pop(0)}.py"
    return module.is_file() and _holds(ast.parse(module.read_text()).body, parts)


def _holds(body: list[ast.stmt], parts: list[str]) -> bool:
    """Whether the first of `parts` is defined, imported or exported in `body`, and the others inside it."""
    if not parts:
        return True
    for statement in body:
        if isinstance(statement, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if statement.name == parts[0]:
                return len(parts) == 1 or (isinstance(statement, ast.ClassDef) and _holds(statement.body, parts[1:]))
        elif len(parts) == 1 and parts[0] in _names(statement):
            return True
    return False


def _names(statement: ast.stmt) -> Iterator[str]:
    """Names that a statement assigns or imports, also below `if`; the strings of `__all__`."""
    for node in ast.walk(statement):
        if isinstance(node, ast.alias):
            yield node.asname or node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
    if isinstance(statement, ast.Assign) and any(getattr(t, "id", "") == "__all__" for t in statement.targets):
        yield from ast.literal_eval(statement.value)
