"""`add --evaluation FILE --calibration FILE`: the user's own data from the first minute."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from stages.core.errors import DataError, UsageError
from stages.core.params import Columns
from stages.records.pairs import read_pairs, write_pairs
from stages.texts.column_names import guess_columns, parse_columns
from tests.stages import project
from tests.stages.conftest import Stages
from tests.stages.fabricated import PAIRS, Fabricated
from tests.stages.project import SLUG, read_json, read_yaml

REGISTRY = Path("registry/models.yaml")
FOLDER = f"checkpoints/{SLUG}"
ADD = ("add", FOLDER, "--license", "mit")


@pytest.fixture(autouse=True)
def _in_a_project(root: Path, tiny: Path) -> None:
    """Every test has the tiny checkpoint at hand."""
    shutil.copytree(tiny, root / FOLDER)


def rows(path: Path, *names: str, count: int = 12) -> Path:
    """A file of JSON lines with these columns; numbers in the third."""
    lines = [dict(zip(names, (f"question {i // 3}", f"text {i}", i % 3), strict=False)) for i in range(count)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_files_become_sets_of_the_model(root: Path, tmp_path: Path, stages: Stages) -> None:
    """Copied below registry/data, declared, pinned, named in the entry; and the stage reads them."""
    before = (root / "params.yaml").read_text()
    evaluation = rows(tmp_path / "Ticket Pairs.jsonl", "question", "answer", "relevance")
    calibration = rows(tmp_path / "texts.jsonl", "sentence1", "sentence2")
    code, out, err = stages(*ADD, "--evaluation", str(evaluation), "--calibration", str(calibration))
    assert (code, err) == (0, "")
    assert read_yaml(REGISTRY)["models"][SLUG]["data"] == {"evaluation": "ticket-pairs", "calibration": "texts"}
    assert (root / "registry/data/ticket-pairs.jsonl").read_bytes() == evaluation.read_bytes()
    sets = read_yaml(root / "params.yaml")["data"]["sets"]
    assert sets["ticket-pairs"] == {
        "path": "registry/data/ticket-pairs.jsonl",
        "columns": {"query": "question", "passage": "answer", "label": "relevance"},
    }
    assert sets["texts"]["columns"] == {"query": "sentence1", "passage": "sentence2"}
    after = (root / "params.yaml").read_text().splitlines()
    assert [line for line in after if "registry/data/t" not in line] == before.splitlines()
    pins = read_json(root / "registry/locks/data-sets.json")
    assert pins["texts"]["size"] == calibration.stat().st_size
    lines = out.splitlines()
    assert lines[0] == f"evaluation: {evaluation}, 12 rows; query = question, passage = answer, label = relevance"
    assert "  labels: numbers from 0 to 2" in lines
    assert "  copied to registry/data/texts.jsonl: git then holds the file, and DVC sees its changes" in lines
    assert lines.index("  other columns: --columns query=…,passage=…,label=…") < len(lines) - 3  # before it is written
    assert "warning" not in out
    assert stages("data", SLUG)[1].startswith("12 evaluation pairs of ticket-pairs, 12 calibration pairs of texts\n")
    assert f"{SLUG}: judged on ticket-pairs (12 rows, labelled), calibrated on texts (12 rows)" in stages("check")[1]
    evaluation_copy = root / "registry/data/ticket-pairs.jsonl"
    evaluation_copy.write_text(evaluation_copy.read_text() + "\n")
    assert "is not what was pinned" in stages("check")[2]


def test_a_file_in_the_registry_is_used_where_it_is(root: Path, stages: Stages) -> None:
    """One file for both uses is one set."""
    path = rows(root / "registry/data/sub/mine.csv", "q", "p")
    path.write_text("search term,doc,score\n" + "".join(f"q{i},d{i},{i}\n" for i in range(9)))
    code, out, _ = stages(*ADD, "--evaluation", str(path), "--calibration", "registry/data/sub/mine.csv")
    assert code == 0
    assert "used where it is" in out
    assert read_yaml(REGISTRY)["models"][SLUG]["data"] == {"evaluation": "mine", "calibration": "mine"}
    assert read_yaml(root / "params.yaml")["data"]["sets"]["mine"]["path"] == "registry/data/sub/mine.csv"
    assert list(read_json(root / "registry/locks/data-sets.json")) == ["mine"]
    assert stages("data", SLUG)[0] == 0


def test_a_second_model_uses_the_set_again(root: Path, tmp_path: Path, stages: Stages) -> None:
    """An equal file with equal columns is no second set; another one of that name carries the model's."""
    path = rows(tmp_path / "pairs-a.jsonl", "query", "passage", "label")
    assert stages(*ADD, "--evaluation", str(path))[0] == 0
    assert stages(*ADD, "--slug", "two", "--evaluation", str(path))[0] == 0
    assert read_yaml(REGISTRY)["models"]["two"]["data"] == {"evaluation": "pairs-a"}
    assert stages(*ADD, "--slug", "three", "--evaluation", str(path), "--columns", "label=")[0] == 0
    assert read_yaml(REGISTRY)["models"]["three"]["data"] == {"evaluation": "three-pairs-a"}
    other = rows(tmp_path / "elsewhere" / "pairs-a.jsonl", "query", "passage", "label", count=4)
    before = project.snapshot(root)
    code, _, err = stages(*ADD, "--slug", "four", "--evaluation", str(other))
    assert code == 5
    assert "would be copied to registry/data/pairs-a.jsonl, which holds something else. Rename your file." in err
    assert project.snapshot(root) == before


def test_without_labels_quality_is_not_measured(tmp_path: Path, stages: Stages) -> None:
    """The pairs are enough for parity, and the message says what is missing."""
    path = rows(tmp_path / "plain.jsonl", "query", "passage")
    out = stages(*ADD, "--evaluation", str(path))[1]
    assert "  no labels: variants are compared with the reference, quality is not measured" in out
    assert "judged on plain (12 rows, without labels)" in stages("check")[1]


def test_labels_of_0_and_1_are_relevant_from_1(root: Path, tmp_path: Path, stages: Stages) -> None:
    """The default of params.yaml, 2, is for graded labels: with it nothing would be relevant."""
    path = tmp_path / "clicks.csv"
    path.write_text("Query;Document;Relevant;id\n" + "".join(f"q{i // 2};d{i};{i % 2};{i}\n" for i in range(10)))
    out = stages(*ADD, "--evaluation", str(path))[1].splitlines()
    assert "  labels: numbers from 0 to 1; relevant from 1 (relevant_from)" in out
    assert "  other columns (id): --columns query=…,passage=…,label=…" in out
    assert read_yaml(root / "params.yaml")["data"]["sets"]["clicks"]["relevant_from"] == 1
    assert stages("data", SLUG)[0] == 0
    found = read_pairs(root / "artifacts/models" / SLUG / "evaluation.jsonl")
    assert (found.relevance(2.0), found.borrowed) == (1.0, False)
    assert stages(*ADD, "--slug", "two", "--evaluation", str(path))[0] == 0
    assert read_yaml(REGISTRY)["models"]["two"]["data"] == {"evaluation": "clicks"}


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        ('{"a": "x", "b": "y"}\n', (), "no column is named like a query or a passage; it has: a, b. Name them, for"),
        ('{"query": "x", "b": "y"}\n', (), "no column is named like a passage; it has: query, b."),
        ('{"query": "x", "b": "y"}\n', ("--columns", "passage=c"), "no column 'c' (passage); it has: query, b."),
        ('{"query": "x", "passage": "y", "label": "good"}\n', (), ":1: label: expected a number, found 'good'."),
        ('{"query": "x", "passage": " "}\n', (), ":1: query and passage: expected two texts that are not empty."),
        ('{"query": "x", "passage": "y"}\n', (), "found 1 rows; evaluation needs at least 2."),
        ("[1]\n", (), ":1: expected rows with named columns, found [1]."),
        ("", (), "expected rows with named columns, found none."),
        ("{\n", (), ":1: expected a JSON object: "),
    ],
)
def test_a_file_that_cannot_be_used_changes_nothing(
    root: Path, stages: Stages, content: str, arguments: tuple[str, ...], message: str
) -> None:
    """The place is named, and neither data, nor params.yaml, nor the registry is written."""
    path = root / "mine.jsonl"
    path.write_text(content)
    before = project.snapshot(root)
    code, _, err = stages(*ADD, "--evaluation", str(path), *arguments)
    assert code == 5
    assert message in err
    assert project.snapshot(root) == before


@pytest.mark.parametrize("name", ["gone.jsonl", "mine.parquet", "folder.jsonl"])
def test_a_file_of_no_use_is_one_line(root: Path, stages: Stages, name: str) -> None:
    """Missing, of another format, or a folder."""
    (root / "folder.jsonl").mkdir()
    code, _, err = stages(*ADD, "--calibration", name)
    assert code == 5
    assert len(err.splitlines()) == 1
    assert name in err


def test_columns_without_a_file_are_a_usage_error(stages: Stages) -> None:
    """They would be ignored."""
    code, _, err = stages(*ADD, "--columns", "query=q")
    assert code == 2
    assert "give --evaluation FILE or --calibration FILE too." in err


def test_bytes_that_are_no_text_are_one_line(root: Path, stages: Stages) -> None:
    """Spreadsheets write other encodings."""
    (root / "mine.csv").write_bytes(b"query,passage\n\xff\xfe,x\n")
    code, _, err = stages(*ADD, "--calibration", "mine.csv")
    assert (code, len(err.splitlines())) == (5, 1)
    assert "mine.csv: expected UTF-8" in err


def test_the_demos_sets_are_said_to_be_the_demos(root: Path, stages: Stages) -> None:
    """Where another model is judged or calibrated on them: in `add`, in `check`, and for the card in the data."""
    for name in ("pairs", "calibration"):
        shutil.move(root / "registry/data" / f"{name}.jsonl", root / "registry/demo" / f"{name}.jsonl")
    with project.edited(root / "params.yaml") as params:
        for set_name, name in (("demo-pairs", "pairs"), ("demo-calibration", "calibration")):
            params["data"]["sets"][set_name]["path"] = f"registry/demo/{name}.jsonl"
    warning = (
        "warning: models.tiny is judged on demo-pairs (48 rows, labelled) and calibrated on demo-calibration (16 "
        "rows): the demo's English texts, whatever the model's language and domain. `python -m stages use-data tiny` "
        "gives it data of its own (docs/data.md)."
    )
    assert warning in stages(*ADD)[1].splitlines()
    assert warning in stages("check")[1].splitlines()
    assert stages("data", SLUG)[0] == 0
    assert json.loads((root / "artifacts/models/tiny/evaluation.jsonl").read_text().splitlines()[0])["borrowed"] is True


# ── Columns ──


@pytest.mark.parametrize(
    ("header", "gold", "expected"),
    [
        (["query", "passage", "label"], "label", ("query", "passage", "label")),
        (["Question", "Answer", "Score"], "label", ("Question", "Answer", "Score")),
        (["sentence1", "sentence2", "score"], "label", ("sentence1", "sentence2", "score")),
        (["id", "text", "answer"], None, ("text", "answer", None)),
        (["query", "text", "rel"], "label", ("query", "text", "rel")),
        (["premise", "hypothesis", "label"], "classes", ("premise", "hypothesis", "label")),
        (["query_text", "doc", "relevance_label"], "label", ("query_text", "doc", "relevance_label")),
        (["query", "document", "label"], None, ("query", "document", None)),
    ],
)
def test_columns_are_guessed_from_their_names(header: list[str], gold: Any, expected: tuple[Any, ...]) -> None:
    """The names that common data sets use, whatever their case."""
    found = guess_columns("x.csv", header, {}, gold)
    assert found == Columns(query=expected[0], passage=expected[1], **({gold: expected[2]} if gold else {}))


def test_what_the_user_says_wins() -> None:
    """Over names that look better; the rest is still guessed."""
    header = ["query", "passage", "label", "a", "b", "c"]
    given = parse_columns("query=a, label=c")
    assert guess_columns("x.csv", header, given, "label") == Columns(query="a", passage="passage", label="c")
    assert guess_columns("x.csv", header, parse_columns("label="), "label").label is None
    assert guess_columns("x.csv", header, parse_columns("classes=c"), "label").classes == "c"
    with pytest.raises(DataError, match=r"no column 'z' \(label\)"):
        guess_columns("x.csv", header, parse_columns("label=z"), "label")


@pytest.mark.parametrize("text", ["", "query", "query=", "text=x", "query=a,query=b", "label=a,classes=b"])
def test_columns_that_say_nothing_are_a_usage_error(text: str) -> None:
    """With an example."""
    with pytest.raises(UsageError, match="expected"):
        parse_columns(text)


@pytest.mark.parametrize(("relevant_from", "measured"), [(None, False), (1.0, True)])
def test_a_sets_own_relevance_is_what_quality_is_measured_by(
    root: Path, tiny: Path, stages: Stages, relevant_from: float | None, measured: bool
) -> None:
    """MAP of labels of 0 and 1: nothing is relevant by the default."""
    Fabricated().write(root, tiny)
    write_pairs(root / "artifacts/models" / SLUG / "evaluation.jsonl", "clicks", PAIRS, relevant_from=relevant_from)
    assert stages("evaluate", SLUG)[0] == 0
    metrics = read_json(root / "artifacts/models" / SLUG / "quality.json")["reference"]["metrics"]
    assert (metrics["map"] is not None) == measured
    assert metrics["ndcg_at_10"] is not None


# ── A model that was added before ──


def test_use_data_changes_the_entry_alone(tmp_path: Path, stages: Stages) -> None:
    """The sets are declared as by `add`; what is not given stays as it is."""
    REGISTRY.write_text(
        f"# ours\nmodels:\n  {SLUG}:\n    source: {{path: {FOLDER}}}  # here\n    task: text-ranking\n"
        "    license: mit\n\n  # another\n  other: {source: {path: x}, task: text-ranking, license: mit}\n"
    )
    before = REGISTRY.read_text()
    evaluation = rows(tmp_path / "mine.jsonl", "query", "passage", "label")
    code, out, err = stages("use-data", SLUG, "--evaluation", str(evaluation))
    assert (code, err) == (0, "")
    assert out.splitlines()[-2:] == ["models.tiny.data: {evaluation: mine}", "next: make repro"]
    assert REGISTRY.read_text() == before.replace("license: mit\n\n", "license: mit\n    data: {evaluation: mine}\n\n")
    calibration = rows(tmp_path / "texts.jsonl", "query", "passage")
    assert stages("use-data", SLUG, "--calibration", str(calibration))[0] == 0
    assert read_yaml(REGISTRY)["models"][SLUG]["data"] == {"evaluation": "mine", "calibration": "texts"}
    assert stages("data", SLUG)[0] == 0


@pytest.mark.parametrize(
    ("entry", "arguments", "code", "message"),
    [
        ({}, (), 2, "expected --evaluation FILE, --calibration FILE, or both."),
        ({}, ("--evaluation", "gone.csv"), 5, "gone.csv: cannot be read"),
        (
            {"source": {"repo": "a/b", "revision": "main"}, "task": "text-classification"},
            ("--evaluation", "gone.csv"),
            2,
            "the labels of tiny are not known yet: run `dvc repro fetch@tiny` first.",
        ),
    ],
)
def test_use_data_without_use_changes_nothing(
    root: Path, stages: Stages, entry: dict[str, Any], arguments: tuple[str, ...], code: int, message: str
) -> None:
    """And says what is missing."""
    raw = {"source": {"path": FOLDER}, "task": "text-ranking", "license": "mit"} | entry
    project.write_yaml(REGISTRY, {"models": {SLUG: raw}})
    before = project.snapshot(root)
    found, _, err = stages("use-data", SLUG, *arguments)
    assert found == code
    assert message in err
    assert project.snapshot(root) == before
