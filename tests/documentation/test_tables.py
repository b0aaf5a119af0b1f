"""The tables of the documents list what the code has, no more and no less."""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import yaml

import artificer
from stages.core import errors
from stages.core.variants import VARIANTS

DOCS = Path(__file__).parents[2] / "docs"


def test_the_table_of_variants_is_complete() -> None:
    """docs/building.md lists every variant with its file and its precision class, in the order of the table."""
    listed = [row[:3] for row in _rows("building.md", "## Variants")]
    assert listed == [[f"`{row.id}`", f"`{row.file}`", row.precision_class] for row in VARIANTS]


def test_the_table_of_load_options_is_complete() -> None:
    """docs/serving.md lists every keyword of `artificer.load`."""
    listed = {name for row in _rows("serving.md", "## Load") for name in re.findall(r"`(\w+)`", row[0])}
    assert listed == set(inspect.signature(artificer.load).parameters) - {"source"}


def test_the_table_of_exit_codes_is_complete() -> None:
    """docs/troubleshooting.md lists the exit code of every kind of error."""
    listed = [int(row[0]) for row in _rows("troubleshooting.md", "## Exit codes")]
    kinds = [kind for kind in vars(errors).values() if inspect.isclass(kind) and issubclass(kind, errors.BuildError)]
    assert listed == sorted({kind.exit_code for kind in kinds})


def test_the_tables_of_errors_are_complete() -> None:
    """docs/reference/errors.md lists every error of both packages, each with a remedy."""
    for heading, module in (("## Of the builder", errors), ("## Of the runtime", artificer.errors)):
        rows = [row for row in _rows("reference/errors.md", heading) if all(row)]
        kinds = [each for each in vars(module).values() if inspect.isclass(each) and each.__module__ == module.__name__]
        assert [row[0] for row in rows] == [f"`{kind.__name__}`" for kind in kinds]


def test_the_picture_shows_every_stage() -> None:
    """The picture in docs/architecture.md names the stages of dvc.yaml."""
    text = (DOCS / "architecture.md").read_text()
    picture = text[text.index('subgraph builder["stages/') : text.index("  end\n")]
    stages = yaml.safe_load((DOCS.parent / "dvc.yaml").read_text())["stages"]
    assert set(re.findall(r"[a-z_]+", picture.partition("LR\n")[2])) == set(stages)


def test_the_glossary_is_sorted() -> None:
    """The glossary is in alphabetical order, and no term is in it twice."""
    terms = [row[0].lower() for row in _rows("architecture.md", "## Glossary")]
    assert terms == sorted(set(terms))


def _rows(document: str, heading: str) -> Iterator[list[str]]:
    """The cells of the first table below a heading, without its head."""
    text = (DOCS / document).read_text()
    table = re.search(r"^\|.*?\n(?=\n|\Z)", text[text.index(f"\n{heading}") :], re.MULTILINE | re.DOTALL)
    assert table is not None, f"{document} has no table below {heading}"
    for line in table[0].splitlines()[2:]:
        yield [cell.strip() for cell in line.strip("|").split("|")]
