"""The reference against sentence-transformers: the same pairs, the same scores, on the embedded model."""

import json
from pathlib import Path

import numpy as np
import pytest

from artificer.inference import activations
from stages.records.reference_outputs import ReferenceLogits, load_reference
from tests.stages import project
from tests.stages.conftest import Stages
from tests.stages.project import DEMO, SLUG

pytestmark = pytest.mark.toolchain


@pytest.fixture
def reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stages: Stages) -> ReferenceLogits:
    """What `reference` writes for the embedded model on the first 60 pairs."""
    root = project.make_project(tmp_path / "project", {SLUG: DEMO / "reranker"})
    lines = (DEMO / "pairs.jsonl").read_text(encoding="utf-8").splitlines()[:60]
    (root / "registry/data/pairs.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    monkeypatch.chdir(root)
    for stage in ("fetch", "data", "reference"):
        assert stages(stage, SLUG)[0] == 0
    return load_reference(SLUG)


def test_the_reference_is_what_sentence_transformers_predicts(reference: ReferenceLogits) -> None:
    """The embedded checkpoint in float32, its activation applied once: within 1e-6 of CrossEncoder.predict."""
    import torch
    from sentence_transformers import CrossEncoder

    rows = [json.loads(line) for line in Path("registry/data/pairs.jsonl").read_text(encoding="utf-8").splitlines()]
    pairs = [(row["query"], row["passage"]) for row in rows]
    model = CrossEncoder(str(DEMO / "reranker"), model_kwargs={"dtype": torch.float32}, local_files_only=True)
    theirs = model.predict(pairs, show_progress_bar=False)
    ours = activations.activate(np.asarray(reference.logits, dtype=np.float32), "sigmoid")[:, 0]
    assert len(ours) == 60
    np.testing.assert_allclose(ours, theirs, atol=1e-6, rtol=0)
    assert ours.max() > 0.5
    assert ours.min() < 0.1
    made_with = reference.made_with
    assert (made_with.framework, made_with.dtype, made_with.attention) == ("torch", "float32", "eager")


def test_the_reference_is_float32_whatever_is_stored(reference: ReferenceLogits) -> None:
    """The embedded weights are fp16 on disk; logits computed in fp16 would have 11 bits."""
    logits = np.asarray(reference.logits, dtype=np.float32)
    assert not np.array_equal(logits, logits.astype(np.float16).astype(np.float32))
