import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from artificer.adapters.haystack import ArtificerRanker

# haystack imports torch where that is installed.
pytestmark = pytest.mark.toolchain
QUERY = "how deep is the deepest lake"
TEXTS = ["Cats need little light.", "Lake Baikal reaches a depth of 1,642 metres.", "Paper is pulped."]


@pytest.fixture(scope="module")
def haystack() -> Any:
    """The package, which sends no telemetry."""
    os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("haystack")


@pytest.fixture
def ranker(haystack: Any, published: Path) -> "ArtificerRanker":
    """A component on the fixture."""
    assert haystack
    from artificer.adapters.haystack import ArtificerRanker

    return ArtificerRanker(str(published), top_k=2, options={"variant": "onnx"})


@pytest.mark.filterwarnings("ignore")
def test_it_ranks_in_a_pipeline(haystack: Any, ranker: "ArtificerRanker") -> None:
    """Haystack's own pipeline runs it: best first, at most top_k, the score set."""
    pipeline = haystack.Pipeline()
    pipeline.add_component("ranker", ranker)
    documents = [haystack.Document(content=text) for text in TEXTS]
    found = pipeline.run({"ranker": {"query": QUERY, "documents": documents}})["ranker"]["documents"]
    assert found[0].content == TEXTS[1]
    assert len(found) == 2
    assert found[0].score > found[1].score
    assert documents[1].score is None


def test_it_survives_a_pipeline_file(ranker: "ArtificerRanker") -> None:
    """to_dict and from_dict keep the arguments, not the model."""
    again = type(ranker).from_dict(ranker.to_dict())
    assert (again.model, again.top_k, again.options) == (ranker.model, 2, {"variant": "onnx"})


def test_top_k_of_a_run_outweighs_that_of_the_component(haystack: Any, ranker: "ArtificerRanker") -> None:
    """Zero is a number too."""
    assert ranker.run(QUERY, [haystack.Document(content="a")], top_k=0) == {"documents": []}
