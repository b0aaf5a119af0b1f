import warnings

import pytest

from artificer.tasks.text_ranking import Reranker

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pytest.importorskip("langchain_core")
    from langchain_core.cross_encoders import BaseCrossEncoder
    from langchain_core.documents import Document

    from artificer.adapters.langchain import ArtificerCompressor, ArtificerCrossEncoder

QUERY = "how deep is the deepest lake"
TEXTS = ["Cats need little light.", "Lake Baikal reaches a depth of 1,642 metres.", "Paper is pulped."]


def test_it_is_a_langchain_cross_encoder(reranker: Reranker) -> None:
    """The interface's `score` gives plain floats, in input order."""
    model = ArtificerCrossEncoder(reranker)
    assert isinstance(model, BaseCrossEncoder)
    scores = model.score([(QUERY, text) for text in TEXTS])
    assert all(type(score) is float for score in scores)
    assert scores.index(max(scores)) == 1
    assert model.score([]) == []


async def test_the_compressor_keeps_the_best_documents(reranker: Reranker) -> None:
    """Best first, at most top_n, the score in the metadata, the originals untouched; asynchronously the same."""
    documents = [Document(page_content=text, metadata={"n": i}) for i, text in enumerate(TEXTS)]
    compressor = ArtificerCompressor(reranker=reranker, top_n=2)
    found = compressor.compress_documents(documents, QUERY)
    assert found[0].metadata["n"] == 1
    assert len(found) == 2
    assert found[0].metadata["relevance_score"] > found[1].metadata["relevance_score"]
    assert "relevance_score" not in documents[1].metadata
    assert await compressor.acompress_documents(documents, QUERY) == found
    assert list(compressor.compress_documents([], QUERY)) == []
