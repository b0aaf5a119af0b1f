"""Which texts a package's proof set holds, by a real reference of the tiny checkpoint."""

from pathlib import Path

import msgspec
import pytest

from stages.records.golden_rows import golden_rows
from stages.records.pairs import read_pairs
from stages.records.reference_outputs import ReferenceLogits
from tests.stages import project
from tests.stages.project import SLUG, edited

MODEL = Path("artifacts/models", SLUG)


def words(texts: list[tuple[str, str]]) -> set[str]:
    """All words of pairs."""
    return {word for pair in texts for text in pair for word in text.split()}


@pytest.mark.toolchain
def test_a_proof_set_of_golden_samples_holds_no_other_words(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The texts of many lengths are made of the golden samples alone, which the manifest holds in any case."""
    root = project.make_project(tmp_path / "project", {SLUG: tiny})
    monkeypatch.chdir(root)
    found = {}
    for wanted in ("all", "golden"):
        with edited(root / "params.yaml") as params:
            params["publish"]["proof_set"] = wanted
        project.run_here(root, "fetch", "data", "reference")
        reference = msgspec.json.decode((root / MODEL / "reference.json").read_bytes(), type=ReferenceLogits)
        assert len(reference.lengths.outputs) == len(reference.lengths.texts) > 10
        found[wanted] = words(list(reference.lengths.texts))

    pairs = read_pairs(MODEL / "evaluation.jsonl").pairs
    golden = [(pairs[i].query, pairs[i].passage) for i in golden_rows(reference.logits, pairs, 4)]
    assert found["golden"] <= words(golden)
    assert not found["all"] <= words(golden)
