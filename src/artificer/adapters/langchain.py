"""LangChain: a cross-encoder and a document compressor (extra `[langchain]`).

>>> from artificer.adapters.langchain import ArtificerCompressor
>>> compressor = ArtificerCompressor(reranker=artificer.load("acme/reranker"), top_n=5)  # doctest: +SKIP
"""

from collections.abc import Sequence

from langchain_core.callbacks import Callbacks
from langchain_core.cross_encoders import BaseCrossEncoder
from langchain_core.documents import BaseDocumentCompressor, Document
from pydantic import ConfigDict

from artificer.tasks.ranking import Ranking, Refine
from artificer.tasks.text_ranking import Reranker


class ArtificerCrossEncoder(BaseCrossEncoder):
    """What LangChain's own CrossEncoderReranker takes as its model."""

    def __init__(self, reranker: Reranker):
        self.reranker = reranker

    def score(self, text_pairs: list[tuple[str, str]]) -> list[float]:
        """Activated scores, in input order."""
        return [float(score) for score in self.reranker.predict(list(text_pairs))]


class ArtificerCompressor(BaseDocumentCompressor):
    """Keeps the `top_n` best documents, best first, with `relevance_score` in their metadata; asynchronous too.

    `refine="exact"` gives the order and the scores of a float32 execution (`Reranker.rank`).
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    reranker: Reranker
    top_n: int | None = None
    refine: Refine | None = None

    def compress_documents(
        self,
        documents: Sequence[Document],
        query: str,
        callbacks: Callbacks | None = None,  # noqa: ARG002
    ) -> list[Document]:
        """The best documents, as copies."""
        texts = [each.page_content for each in documents]
        return _pick(documents, self.reranker.rank(query, texts, top_k=self.top_n, refine=self.refine))

    async def acompress_documents(
        self,
        documents: Sequence[Document],
        query: str,
        callbacks: Callbacks | None = None,  # noqa: ARG002
    ) -> list[Document]:
        """As `compress_documents`, on the reranker's own threads."""
        texts = [each.page_content for each in documents]
        return _pick(documents, await self.reranker.arank(query, texts, top_k=self.top_n, refine=self.refine))


def _pick(documents: Sequence[Document], ranking: Ranking) -> list[Document]:
    found = []
    for row in ranking:
        document = documents[row["corpus_id"]]
        metadata = {**document.metadata, "relevance_score": float(row["score"])}
        found.append(document.model_copy(update={"metadata": metadata}))
    return found
