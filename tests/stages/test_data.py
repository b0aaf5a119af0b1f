"""Evaluation and calibration data: what is not usable is refused with its place, and nothing is written then."""

import json
from pathlib import Path
from typing import Any

import pytest

from stages.records.pairs import Pair, read_pairs
from stages.tasks import BUILDING_TASKS
from tests.stages.conftest import Stages
from tests.stages.project import SLUG, edited, read_json, write_yaml

pytestmark = pytest.mark.usefixtures("root")
DATA_ERROR = 5
PAIRS = Path("registry/data/pairs.jsonl")
CALIBRATION = Path("registry/data/calibration.jsonl")
GOOD = {"query": "a tap", "passage": "a washer", "relevance": 1}
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def _entry(root: Path) -> None:
    """One model, which uses the sets of params.yaml."""
    entry = {"source": {"path": "x"}, "task": "text-ranking", "license": "mit"}
    write_yaml(root / "registry" / "models.yaml", {"models": {SLUG: entry}})


def write_rows(path: Path, *rows: Any) -> None:
    """Replace a data file by these rows, JSON a line."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def assert_refused(stages: Stages, message: str) -> None:
    """The stage must fail with exactly this message, and write nothing."""
    code, _, err = stages("data", SLUG)
    assert (code, err) == (DATA_ERROR, f"error: {message}\n")
    assert not Path("artifacts").exists()


def test_pairs_are_normalised(stages: Stages) -> None:
    """Columns get one name, labels become numbers, and the set's name stays with its rows."""
    code, out, _ = stages("data", SLUG)
    assert code == 0
    assert out.startswith("48 evaluation pairs of demo-pairs, 24 calibration pairs of demo-calibration\n")
    first = json.loads(PAIRS.read_text(encoding="utf-8").splitlines()[0])
    found = read_pairs(Path("artifacts/models", SLUG, "evaluation.jsonl"))
    assert found.name == "demo-pairs"
    assert found.pairs[0] == Pair(query=first["query"], passage=first["passage"], label=float(first["relevance"]))
    assert read_pairs(Path("artifacts/models", SLUG, "calibration.jsonl")).pairs[0].label is None


def test_the_same_pairs_give_the_same_bytes(stages: Stages) -> None:
    """A rerun writes what was there."""
    path = Path("artifacts/models", SLUG, "evaluation.jsonl")
    stages("data", SLUG)
    before = path.read_bytes()
    stages("data", SLUG)
    assert path.read_bytes() == before


def test_an_entry_may_name_sets_of_its_own(root: Path, stages: Stages) -> None:
    """`data` of an entry narrows to one model what params.yaml says for all."""
    with edited(root / "registry" / "models.yaml") as registry:
        registry["models"][SLUG]["data"] = {"calibration": "demo-pairs"}
    assert "48 calibration pairs of demo-pairs" in stages("data", SLUG)[1]


def test_rows_caps_a_set(root: Path, stages: Stages) -> None:
    """`rows` takes the first of a set."""
    with edited(root / "params.yaml") as params:
        params["data"]["sets"]["demo-pairs"]["rows"] = 10
    assert stages("data", SLUG)[1].startswith("10 evaluation pairs")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            {"query": "a", "relevance": 1},
            "registry/data/pairs.jsonl:2: no column 'passage'; it has: query, relevance.",
        ),
        (
            {"query": "a", "passage": "b"},
            "registry/data/pairs.jsonl:2: no column 'relevance'; it has: query, passage.",
        ),
        (["a", "b"], "registry/data/pairs.jsonl:2: expected a JSON object, found a list."),
        (
            {**GOOD, "query": 7},
            "registry/data/pairs.jsonl:2: query and passage: expected two texts that are not empty.",
        ),
        (
            {**GOOD, "passage": None},
            "registry/data/pairs.jsonl:2: query and passage: expected two texts that are not empty.",
        ),
        (
            {**GOOD, "passage": " \n"},
            "registry/data/pairs.jsonl:2: query and passage: expected two texts that are not empty.",
        ),
        ({**GOOD, "relevance": "3"}, "registry/data/pairs.jsonl:2: relevance: expected a number, found '3'."),
        ({**GOOD, "relevance": True}, "registry/data/pairs.jsonl:2: relevance: expected a number, found True."),
        ({**GOOD, "relevance": None}, "registry/data/pairs.jsonl:2: relevance: expected a number, found None."),
    ],
)
def test_a_wrong_row_is_named_with_its_line(stages: Stages, row: Any, message: str) -> None:
    """The message names file, line and column."""
    write_rows(PAIRS, GOOD, row, GOOD)
    assert_refused(stages, message)


@pytest.mark.parametrize("label", ["NaN", "Infinity", "-Infinity"])
def test_a_label_that_is_no_finite_number_is_refused(stages: Stages, label: str) -> None:
    """NaN would turn every figure of quality into NaN."""
    PAIRS.write_text(json.dumps(GOOD) + '\n{"query": "a", "passage": "b", "relevance": ' + label + "}\n")
    code, _, err = stages("data", SLUG)
    assert code == DATA_ERROR
    assert err.startswith("error: registry/data/pairs.jsonl:2: relevance: expected a number, found ")


def test_invalid_json_is_named_with_its_line(stages: Stages) -> None:
    """A broken line is found by its number; blank lines count and are skipped."""
    PAIRS.write_text(json.dumps(GOOD) + "\n\n{'query': 1}\n")
    code, _, err = stages("data", SLUG)
    assert code == DATA_ERROR
    assert err.startswith("error: registry/data/pairs.jsonl:3: expected a JSON object: Expecting property name")


def test_separators_inside_a_text_do_not_split_its_row(stages: Stages) -> None:
    """Unicode's line separators may stand inside JSON strings; only newlines end a row."""
    text = "a\u2028b\u2029c\x85d"
    PAIRS.write_text("".join(json.dumps({**GOOD, "passage": text}, ensure_ascii=False) + "\n" for _ in range(3)))
    assert stages("data", SLUG)[0] == 0
    assert read_pairs(Path("artifacts/models", SLUG, "evaluation.jsonl")).pairs[1].passage == text


def test_a_lone_surrogate_is_refused(stages: Stages) -> None:
    """JSON can spell half a character, which no tokenizer takes."""
    PAIRS.write_text(json.dumps(GOOD) + '\n{"query": "\\ud800", "passage": "b", "relevance": 1}\n')
    code, _, err = stages("data", SLUG)
    assert code == DATA_ERROR
    assert err.startswith("error: registry/data/pairs.jsonl:2: ")


def test_a_file_that_is_not_utf_8_is_refused(stages: Stages) -> None:
    """Other encodings are not guessed."""
    PAIRS.write_bytes('{"query": "é"}'.encode("latin-1"))
    code, _, err = stages("data", SLUG)
    assert code == DATA_ERROR
    assert err.startswith(f"error: params.yaml: data.sets.demo-pairs.path: {PAIRS} cannot be read: 'utf-8' codec")


def test_a_missing_file_is_named_with_its_key_path(stages: Stages) -> None:
    """The key that names the file is what a user has to change."""
    PAIRS.unlink()
    code, _, err = stages("data", SLUG)
    assert code == DATA_ERROR
    assert err.startswith(f"error: params.yaml: data.sets.demo-pairs.path: {PAIRS} cannot be read: ")


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "checkpoints/x.jsonl", "registry/data/../../x.jsonl", "registry/locks/data-sets.json"]
)
def test_a_path_that_DVC_does_not_watch_is_refused(root: Path, stages: Stages, path: str) -> None:  # noqa: N802
    """A change of a file outside the two data folders would go unnoticed."""
    with edited(root / "params.yaml") as params:
        params["data"]["sets"]["demo-pairs"]["path"] = path
    assert_refused(
        stages,
        f"params.yaml: data.sets.demo-pairs.path: expected a file below registry/demo or registry/data, found {path}.",
    )


@pytest.mark.parametrize("rows", [0, 1, 7])
def test_a_calibration_set_that_is_empty_or_tiny_is_refused(stages: Stages, rows: int) -> None:
    """One line calibrates nothing: the ranges of every layer would come from it."""
    write_rows(CALIBRATION, *[GOOD] * rows)
    assert_refused(
        stages,
        f"data set 'demo-calibration': found {rows} rows; calibration needs at least 8, and "
        "a few hundred to be useful.",
    )


@pytest.mark.parametrize("rows", [0, 1])
def test_an_empty_evaluation_set_is_refused(stages: Stages, rows: int) -> None:
    """Nothing can be proven on one pair."""
    write_rows(PAIRS, *[GOOD] * rows)
    assert_refused(stages, f"data set 'demo-pairs': found {rows} rows; evaluation needs at least 2.")


def test_an_evaluation_set_may_lack_labels(root: Path, stages: Stages) -> None:
    """Parity needs none; that quality is not measured is said where the labels are read."""
    with edited(root / "params.yaml") as params:
        params["data"]["evaluation"] = "demo-calibration"
    assert stages("data", SLUG)[0] == 0
    found = read_pairs(Path("artifacts/models", SLUG, "evaluation.jsonl"))
    assert BUILDING_TASKS["text-ranking"].unfit(("LABEL_0",), found.pairs) == "it has no labels"


def test_a_benchmark_without_texts_is_refused(root: Path, stages: Stages) -> None:
    """An empty workload would be timed as nothing, and every ratio be a division by zero."""
    (root / "registry/data/empty.jsonl").write_text("")
    with edited(root / "params.yaml") as params:
        columns = {"query": "query", "passage": "passage"}
        params["data"]["sets"]["empty"] = {"path": "registry/data/empty.jsonl", "columns": columns}
        params["benchmark"]["presets"]["embedded"]["workloads"]["none"] = {"set": "empty", "pairs": 4}
    code, _, err = stages("data", SLUG)
    assert code == DATA_ERROR, err
    assert err.startswith("error: data set 'empty': found 0 rows; workload 'none' needs ")
    assert not Path("artifacts").exists()


def use_classes() -> None:
    """Make the evaluation set one that says which labels apply."""
    with edited(Path("params.yaml")) as params:
        params["data"]["sets"]["demo-pairs"]["columns"] = {"query": "query", "passage": "passage", "classes": "gold"}


def test_classes_are_kept_as_lists(stages: Stages) -> None:
    """By index or by name, one or several or none."""
    use_classes()
    write_rows(PAIRS, *({**GOOD, "gold": gold} for gold in (2, "rude", [0, "rude"], [])))
    assert stages("data", SLUG)[0] == 0
    pairs = read_pairs(Path("artifacts/models", SLUG, "evaluation.jsonl")).pairs
    assert [pair.label for pair in pairs] == [(2,), ("rude",), (0, "rude"), ()]


@pytest.mark.parametrize("gold", [True, 1.5, None, -1, [[0]], [0, False], {"a": 1}])
def test_classes_that_are_neither_indices_nor_names_are_refused(stages: Stages, gold: Any) -> None:
    """With the row that holds them."""
    use_classes()
    write_rows(PAIRS, {**GOOD, "gold": 0}, {**GOOD, "gold": gold})
    message = f"gold: expected the index or the name of a label, or a list of them, found {gold!r}."
    assert_refused(stages, f"{PAIRS}:2: {message}")


def test_a_label_twice_is_refused(stages: Stages) -> None:
    """A list of ones and zeros, one a label, would be read as indices: it holds the same one twice."""
    use_classes()
    write_rows(PAIRS, {**GOOD, "gold": [0, 1, 0]})
    assert_refused(stages, f"{PAIRS}:1: gold: duplicate label: [0, 1, 0].")


# ── Pins, and tables ──


def test_a_pinned_file_that_changed_is_refused(root: Path, stages: Stages) -> None:
    """By the stage and by `check`, with the command that accepts the change."""
    assert stages("pin-data", "demo-pairs")[0] == 0
    pin = read_json(root / "registry/locks/data-sets.json")["demo-pairs"]
    assert (pin["path"], pin["size"]) == (str(PAIRS), PAIRS.stat().st_size)
    assert stages("data", SLUG)[0] == 0
    with PAIRS.open("a") as stream:
        stream.write(json.dumps(GOOD) + "\n")
    for command in (("data", SLUG), ("check",)):
        code, _, err = stages(*command)
        assert code in (DATA_ERROR, 3)
        assert "data.sets.demo-pairs: registry/data/pairs.jsonl is not what was pinned: locked " in err
        assert "run `python -m stages pin-data demo-pairs`; otherwise restore the file." in err
    assert stages("pin-data", "demo-pairs")[0] == 0
    assert stages("data", SLUG)[0] == 0


def test_a_set_of_another_file_than_the_pinned_one_is_refused(root: Path, stages: Stages) -> None:
    """`path` in params.yaml changed, and the pin did not."""
    assert stages("pin-data", "demo-pairs")[0] == 0
    PAIRS.rename(root / "registry/data/moved.jsonl")
    with edited(root / "params.yaml") as params:
        params["data"]["sets"]["demo-pairs"]["path"] = "registry/data/moved.jsonl"
        params["benchmark"]["presets"]["embedded"]["workloads"]["short"]["set"] = "demo-calibration"
    assert "is not what was pinned" in stages("data", SLUG)[2]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
def test_a_table_is_read(root: Path, stages: Stages, separator: str, suffix: str) -> None:
    """Quotes, line breaks in a cell, a byte order mark; labels become numbers."""
    if suffix == ".tsv":
        separator = "\t"
    path = PAIRS.with_suffix(suffix)
    rows = ["query#passage#relevance", '"a, tap; ""drips"""#"two\nlines"#3', "b#c#0.5"]
    path.write_text("\ufeff" + "\n".join(rows).replace("#", separator) + "\n", encoding="utf-8")
    with edited(root / "params.yaml") as params:
        params["data"]["sets"]["demo-pairs"]["path"] = str(path)
    assert stages("data", SLUG)[0] == 0
    found = read_pairs(Path("artifacts/models", SLUG, "evaluation.jsonl")).pairs
    assert found == (
        Pair(query='a, tap; "drips"', passage="two\nlines", label=3.0),
        Pair(query="b", passage="c", label=0.5),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("query,passage,relevance\na,b\n", ":2: expected 3 cells, as in the header, found 2."),
        ("query,passage,relevance\na,b,c\n", ":2: relevance: expected a number, found 'c'."),
        ("query,passage,relevance\na,b,\n", ":2: relevance: expected a number, found ''."),
        ('query,passage,relevance\n"a,b,1\n', ":2: expected CSV: unexpected end of data."),
        ("query,text,relevance\na,b,1\n", ":2: no column 'passage'; it has: query, text, relevance."),
    ],
)
def test_a_malformed_table_is_refused(root: Path, stages: Stages, text: str, message: str) -> None:
    """With the line, as for JSON."""
    path = PAIRS.with_suffix(".csv")
    path.write_text(text)
    with edited(root / "params.yaml") as params:
        params["data"]["sets"]["demo-pairs"]["path"] = str(path)
    assert_refused(stages, f"{path}{message}")
