"""Evaluation data of the Hub: read at its pinned commit, or refused in one line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest

from artificer.manifest import canonical_json
from stages.core.errors import DataError
from stages.core.params import Columns, DataSet
from stages.records.pairs import Pair, describe, write_pairs
from stages.texts.sets import load_pairs, origin
from tests.stages.conftest import Stages
from tests.stages.project import read_json

pytestmark = pytest.mark.usefixtures("root")
COMMIT = "0123456789abcdef0123456789abcdef01234567"


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


def test_the_manifest_states_which_data_set_of_the_hub_was_used(tmp_path: Path) -> None:
    """Id and commit travel with the normalised pairs; a local file has neither."""
    pairs = [Pair(query="q1", passage="a1")]
    for data_set, expected in ((a_set(), ("acme/pairs", COMMIT)), (DataSet(path="a.jsonl"), (None, None))):
        write_pairs(tmp_path / "pairs.jsonl", "s", pairs, origin=origin("s", data_set))
        found = describe(tmp_path / "pairs.jsonl", 1)
        assert (found.dataset, found.revision) == expected
        assert (b'"dataset"' in canonical_json(found)) == (expected[0] is not None)


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


def test_pin_data_refuses_a_name_of_nothing(root: Path, stages: Stages) -> None:
    """The message lists the sets that there are."""
    code, _, err = stages("pin-data", "gone")
    assert code == 2
    assert err.startswith("error: params.yaml: data.sets has no 'gone'; known: demo-pairs, demo-calibration, stsb, ")
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
