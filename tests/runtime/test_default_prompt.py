"""A model's default prompt: applied as CrossEncoder applies it, unless a call names another."""

from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from artificer.loading.loader import load
from artificer.manifest import MANIFEST_FILE, Manifest
from artificer.tasks.text_ranking import Reranker
from tests.runtime.conftest import Copy, rewrite

PROMPT = "Judge the passage: "
PAIRS = [("a query", "a passage"), ("another", "one more passage")]


@pytest.fixture
def prompted(copied: Copy) -> Path:
    """The published demo with a default prompt, whose golden outputs are those of the prompted pairs."""
    folder = copied("onnx")
    manifest = Manifest.from_json((folder / MANIFEST_FILE).read_bytes())
    with load(folder, variant="onnx") as plain:
        golden = tuple(
            replace(each, outputs={"logits": tuple(float(x) for x in np.atleast_1d(plain.predict(
                (PROMPT + each.inputs["query"], each.inputs["passage"]), activation_fn="identity"
            )))})
            for each in manifest.golden
        )  # fmt: skip
    rewrite(folder, tokenizer=replace(manifest.tokenizer, prompt=PROMPT), golden=golden)
    return folder


def test_the_default_prompt_stands_before_each_query(prompted: Path, reranker: Reranker) -> None:
    """The scores are those of the texts with the prompt, and the self-test agrees."""
    expected = reranker.predict([(PROMPT + query, passage) for query, passage in PAIRS])
    with load(prompted, variant="onnx") as model:
        np.testing.assert_allclose(model.predict(PAIRS), expected, atol=1e-5)
        assert model.explain().self_test is not None


@pytest.mark.parametrize("prompt", ["Another: ", ""])
def test_a_call_may_name_another_prompt_or_none(prompted: Path, reranker: Reranker, prompt: str) -> None:
    """An empty prompt is no prompt, as in CrossEncoder."""
    expected = reranker.predict([(prompt + query, passage) for query, passage in PAIRS])
    with load(prompted, variant="onnx") as model:
        np.testing.assert_allclose(model.predict(PAIRS, prompt=prompt), expected, atol=1e-5)


def test_the_prompt_counts_towards_the_length(prompted: Path) -> None:
    """A pair that fits without the prompt may be cut with it."""
    with load(prompted, variant="onnx", max_length=10) as model:
        assert model.truncated([("a", "b c d")])[0]
