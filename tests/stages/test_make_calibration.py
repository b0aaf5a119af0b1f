"""`make-calibration`: pairs of texts from a log, deterministic, without repeats, and nothing else of a line."""

import io
import json
from pathlib import Path

import pytest

from stages.texts.log_lines import LogFields, draw
from tests.stages.conftest import Stages

pytestmark = pytest.mark.usefixtures("root")
OUT = Path("registry/data/log.jsonl")
FIELDS = ("--query-field", "request.query", "--documents-field", "request.documents")


def log_line(i: int, *documents: object) -> str:
    """What a service might log: a time, a level, then JSON with more than the texts."""
    request = {"query": f"query {i}", "documents": list(documents)}
    return f"2026-01-01T00:00:00 INFO {json.dumps({'user': 'jane@example.org', 'request': request})}\n"


def pairs(path: Path = OUT) -> list[dict[str, str]]:
    """The rows that were written."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_pairs_of_json_lines(tmp_path: Path, stages: Stages) -> None:
    """Documents as texts or as objects; what is no pair is counted and skipped."""
    log = tmp_path / "service.log"
    lines = [log_line(i, f"text {i}", {"text": f"more {i}", "id": i}, {"id": 1}, 4, " ") for i in range(10)]
    log.write_text("".join([*lines, lines[0], "started\n", "\n", "INFO {broken\n", '{"request": "none"}\n']))
    code, out, err = stages("make-calibration", str(log), "--out", str(OUT), *FIELDS)
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        f"{log}: 14 lines, 3 of them without a pair; 22 pairs",
        f"{OUT}: 20 different pairs, drawn with seed 0. Look through them before you commit them: they are what your "
        "users wrote.",
        f"next: python -m stages use-data SLUG --calibration {OUT} (or `add SOURCE` with this option)",
    ]
    assert {(row["query"], row["passage"]) for row in pairs()} == {
        (f"query {i}", f"{word} {i}") for i in range(10) for word in ("text", "more")
    }
    assert "jane" not in OUT.read_text()
    assert {tuple(row) for row in pairs()} == {("query", "passage")}


def test_plain_pairs_from_stdin(stages: Stages, monkeypatch: pytest.MonkeyPatch) -> None:
    """A query, a tab, a text."""
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"q{i}\té {i}\n" for i in range(9)) + "no tab\n"))
    assert stages("make-calibration", "-", "--out", str(OUT))[0] == 0
    assert sorted(row["passage"] for row in pairs()) == [f"é {i}" for i in range(9)]


def test_the_sample_does_not_depend_on_the_order() -> None:
    """The same lines and seed give the same pairs; another seed gives others; a repeated line changes nothing."""
    lines = [f"q{i}\ttext {i}\n" for i in range(500)]
    one = draw(lines, None, 50, 0)
    assert draw([*reversed(lines), *lines], None, 50, 0).pairs == one.pairs
    assert len(set(one.pairs)) == 50
    assert set(draw(lines, None, 50, 1).pairs) != set(one.pairs)
    assert set(draw(lines, None, 20, 0).pairs) < set(one.pairs)


def test_fields_may_hold_dots() -> None:
    """Flat logs write `request.query` as one key."""
    line = json.dumps({"request.query": "q", "doc": "d"})
    assert draw([line], LogFields(query="request.query", documents="doc"), 5, 0).pairs == (("q", "d"),)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--query-field", "q"), 2, "--query-field and --documents-field belong together"),
        (("--rows", "0"), 2, "--rows 0: expected at least 1."),
        (("--out", "x.csv"), 2, "--out x.csv: expected a name that ends in .jsonl."),
        (("--out", "registry/data/pairs.jsonl"), 2, "--out registry/data/pairs.jsonl exists already."),
        (FIELDS, 5, "none of 1 lines holds a pair of texts. Expected JSON with request.query and request.documents"),
        ((), 5, "found 1 rows; calibration needs at least 8, and a few hundred to be useful."),
    ],
)
def test_what_gives_no_set_is_said(stages: Stages, arguments: tuple[str, ...], code: int, message: str) -> None:
    """And nothing is written."""
    Path("few.log").write_text("a\tb\n")
    found, _, err = stages("make-calibration", "few.log", "--out", str(OUT), *arguments)
    assert found == code
    assert message in err
    assert not OUT.exists()


def test_a_missing_log_is_one_line(stages: Stages) -> None:
    """No traceback."""
    code, _, err = stages("make-calibration", "gone.log", "--out", str(OUT))
    assert (code, err) == (1, "error: gone.log: No such file or directory.\n")
