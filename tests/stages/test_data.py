"""Evaluation and calibration data: what is not usable is refused with its place, and nothing is written then."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest

from stages.core.errors import DataError
from stages.core.params import Columns, DataSet
from stages.records.pairs import Pair, read_pairs
from stages.tasks import BUILDING_TASKS
from stages.texts.sets import load_pairs
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
        "a few hundred to be of use.",
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


# ── Data sets of the Hub ──


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str | None, str | None], list[dict[str, Any]]]:
    """Tables by config and split, which a stand-in for `datasets.load_dataset` returns for one repo at one commit."""
    tables: dict[tuple[str | None, str | None], list[dict[str, Any]]] = {}

    def load_dataset(repo: str, config: str | None, *, split: str | None, revision: str) -> Any:
        if (repo, revision) != ("acme/pairs", COMMIT):
            raise ConnectionError(f"Couldn't reach {repo} on the Hub\nsecond line")
        return tables[config, split]

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    return tables


def a_set(**changes: Any) -> DataSet:
    """A pinned set of acme/pairs."""
    options: dict[str, Any] = {
        "dataset": "acme/pairs",
        "revision": COMMIT,
        "split": "train",
        "columns": Columns(query="question", passage="answer"),
    }
    return DataSet(**{**options, **changes})


def test_a_hub_set_is_read_at_its_commit(hub: dict[Any, Any]) -> None:
    """Columns are those that params.yaml names."""
    hub[None, "train"] = [{"question": "q1", "answer": "a1", "other": 1}, {"question": "q2", "answer": "a2"}]
    assert load_pairs("s", a_set(rows=1)) == (Pair(query="q1", passage="a1"),)


def test_a_wrong_row_of_a_hub_set_is_named_by_its_number(hub: dict[Any, Any]) -> None:
    """Sets of the Hub have rows, not lines."""
    hub["c", "train"] = [{"question": "q1", "answer": "a1"}, {"question": "q2", "answer": ""}]
    with pytest.raises(DataError) as caught:
        load_pairs("s", a_set(config="c"))
    assert str(caught.value) == (
        "acme/pairs c train row 1: question and answer: expected two texts that are not empty."
    )


@pytest.mark.usefixtures("hub")
def test_a_hub_set_that_cannot_be_loaded_is_one_line() -> None:
    """The library's message is cut to what it says first."""
    with pytest.raises(DataError) as caught:
        load_pairs("s", a_set(dataset="acme/gone"))
    assert (
        str(caught.value)
        == "acme/gone  train: the data set cannot be loaded: ConnectionError: Couldn't reach acme/gone on the Hub"
    )


def test_an_unpinned_branch_of_a_hub_set_is_refused() -> None:
    """A moving branch is never followed; the message names the command that pins it."""
    with pytest.raises(DataError) as caught:
        load_pairs("s", a_set(revision="main"))
    assert str(caught.value) == (
        "params.yaml: data.sets.s.revision: 'main' of acme/pairs is not pinned in registry/locks/data-sets.json. Run "
        "`python -m stages pin-data s`."
    )


@pytest.mark.parametrize("locked", [{"dataset": "acme/other", "from": "main"}, {"dataset": "acme/pairs", "from": "v1"}])
def test_a_lock_of_another_set_or_branch_is_refused(root: Path, locked: dict[str, str]) -> None:
    """A set that was renamed since is pinned again, not read at the old commit."""
    (root / "registry/locks/data-sets.json").write_text(json.dumps({"s": {**locked, "commit": COMMIT}}))
    with pytest.raises(DataError, match="is not pinned in"):
        load_pairs("s", a_set(revision="main"))


def test_a_pinned_branch_is_read_at_its_commit(root: Path, hub: dict[Any, Any]) -> None:
    """The lock turns a branch into a commit."""
    hub[None, "train"] = [{"question": "q1", "answer": "a1"}]
    lock = {"s": {"dataset": "acme/pairs", "from": "main", "commit": COMMIT}}
    (root / "registry/locks/data-sets.json").write_text(json.dumps(lock))
    assert len(load_pairs("s", a_set(revision="main"))) == 1


def test_nanobeir_reranks_the_first_hundred_of_bm25(hub: dict[Any, Any]) -> None:
    """Each query gets the right passages that BM25 missed, then its first 100, relevant where qrels say so."""
    for split in ("NanoA", "NanoB"):
        hub["corpus", split] = [{"_id": f"d{i}", "text": f"{split} document {i}"} for i in range(120)]
        hub["queries", split] = [{"_id": "q1", "text": f"{split} one"}, {"_id": "q2", "text": f"{split} two"}]
        hub["qrels", split] = [
            {"query-id": "q1", "corpus-id": "d3"},
            {"query-id": "q1", "corpus-id": "d5"},
            {"query-id": "q2", "corpus-id": ["d0", "d119"]},
        ]
        hub["bm25", split] = [
            {"query-id": query, "corpus-ids": [f"d{i}" for i in range(120)]} for query in ("q1", "q2")
        ]
    pairs = load_pairs("s", a_set(layout="nanobeir", splits=("NanoA", "NanoB"), columns=None, split=None))
    assert len(pairs) == 402
    assert pairs[3] == Pair(query="NanoA one", passage="NanoA document 3", label=2.0)
    relevant = [(pair.query, pair.passage) for pair in pairs if pair.label]
    assert relevant[:4] == [
        ("NanoA one", "NanoA document 3"),
        ("NanoA one", "NanoA document 5"),
        ("NanoA two", "NanoA document 119"),
        ("NanoA two", "NanoA document 0"),
    ]
    assert len(relevant) == 8
    assert {pair.label for pair in pairs} == {0.0, 2.0}


def test_pin_data_refuses_names_that_are_no_hub_sets(root: Path, stages: Stages) -> None:
    """A local file needs no pin, and a name of nothing is a mistake."""
    for name in ("demo-pairs", "gone"):
        assert stages("pin-data", name)[::2] == (2, f"error: params.yaml: data.sets has no Hub data set '{name}'.\n")
    assert read_json(root / "registry/locks/data-sets.json") == {}


def test_pin_data_locks_the_commit(root: Path, stages: Stages, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command asks the Hub for the branch's commit once, and `data` reads it from the lock."""
    asked: list[tuple[str, str]] = []

    def dataset_info(_: Any, repo: str, *, revision: str) -> Any:
        asked.append((repo, revision))
        return type("Info", (), {"sha": COMMIT})

    commit_of: Callable[..., Any] = dataset_info
    monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", commit_of)
    code, out, _ = stages("pin-data", "imdb")
    assert (code, out) == (0, f"imdb: stanfordnlp/imdb at {COMMIT}\n")
    assert asked == [("stanfordnlp/imdb", "main")]
    expected = {"imdb": {"commit": COMMIT, "dataset": "stanfordnlp/imdb", "from": "main"}}
    assert read_json(root / "registry/locks/data-sets.json") == expected


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
