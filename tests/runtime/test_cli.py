import io
import json
from pathlib import Path

import pytest

from artificer.cli import main
from tests.runtime.conftest import Copy


def test_explain_prints_the_choice(published: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """For people, and as JSON."""
    assert main(["explain", str(published)]) == 0
    assert "why: best measured throughput" in capsys.readouterr().out
    assert main(["explain", str(published), "--json", "--variant", "onnx"]) == 0
    assert json.loads(capsys.readouterr().out)["variant"] == "onnx"


def test_verify_hashes_everything(copied: Copy, capsys: pytest.CaptureFixture[str]) -> None:
    """Whole: 0 and a line; a flipped bit: 1 and the file's name on standard error, no traceback."""
    folder = copied("onnx-quint8-avx2")
    (folder / "notes.txt").write_text("x")
    assert main(["verify", str(folder)]) == 0
    out = capsys.readouterr().out
    assert "not in the manifest, never opened: notes.txt" in out
    assert "all match the manifest" in out
    (folder / "README.md").write_text("# A fixturf\n")
    assert main(["verify", str(folder)]) == 1
    assert "README.md: expected sha256" in capsys.readouterr().err


def test_rank_reads_documents_from_arguments_or_standard_input(
    published: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line a document, best first."""
    query, documents = "how deep is the deepest lake", ["Cats.", "Lake Baikal is 1,642 metres deep."]
    assert main(["rank", str(published), query, *documents, "--variant", "onnx"]) == 0
    by_argument = capsys.readouterr().out
    assert by_argument.splitlines()[0].endswith("Lake Baikal is 1,642 metres deep.")
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(documents)))
    assert main(["rank", str(published), query, "--variant", "onnx"]) == 0
    assert capsys.readouterr().out == by_argument


def test_documents_may_stand_behind_options_and_nothing_else_may(
    published: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--top-k 1 "a text"` as `"a text" --top-k 1`; a misspelt option stays an error."""
    assert main(["rank", str(published), "query", "a text", "another", "--top-k", "1"]) == 0
    expected = capsys.readouterr().out
    assert main(["rank", str(published), "query", "--top-k", "1", "a text", "another"]) == 0
    assert capsys.readouterr().out == expected
    for wrong in (["rank", str(published), "query", "--topk", "1", "a"], ["explain", str(published), "query"]):
        with pytest.raises(SystemExit) as ended:
            main(wrong)
        assert ended.value.code == 2
        assert "unrecognized arguments" in capsys.readouterr().err


def test_bench_measures_every_admissible_variant(copied: Copy, capsys: pytest.CaptureFixture[str]) -> None:
    """A line each."""
    assert main(["bench", str(copied("onnx", "onnx-O2")), "--pairs", "4", "--rounds", "1"]) == 0
    assert {line.split()[0] for line in capsys.readouterr().out.splitlines()} == {"variant", "onnx", "onnx-O2"}


def test_an_error_of_ours_is_one_line_and_exit_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No traceback for the user's mistakes."""
    assert main(["explain", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith(f"artificer: {tmp_path} holds no readable manifest.json")


def test_rank_of_a_classifier_is_one_line(copied: Copy, capsys: pytest.CaptureFixture[str]) -> None:
    """A classifier has scores per label, and no order."""
    folder = copied("onnx")
    text = (folder / "manifest.json").read_text()
    (folder / "manifest.json").write_text(text.replace('"task": "text-ranking"', '"task": "text-classification"'))
    assert main(["rank", str(folder), "query", "a text"]) == 1
    assert (
        capsys.readouterr().err
        == f"artificer: {folder}: its task is text-classification. Only text-ranking models can rank.\n"
    )
