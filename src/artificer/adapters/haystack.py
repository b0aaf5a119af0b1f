"""Haystack: a ranker component (extra `[haystack]`).

>>> from artificer.adapters.haystack import ArtificerRanker
>>> ranker = ArtificerRanker("acme/reranker", top_k=5)  # doctest: +SKIP
"""

from dataclasses import replace
from typing import Any

from haystack import Document, component, default_from_dict, default_to_dict

from artificer.errors import InputError
from artificer.loading.loader import load
from artificer.tasks.ranking import Refine
from artificer.tasks.text_ranking import Reranker


@component
class ArtificerRanker:
    """Ranks documents by their relevance to a query; the best first, with `score` set.

    Args:
        model: what `artificer.load` takes: a published folder or a Hub repo id.
        top_k: how many to return; None for all.
        options: further arguments of `artificer.load`.
        refine: `exact` for the order and the scores of a float32 execution (`Reranker.rank`).
    """

    def __init__(
        self,
        model: str,
        top_k: int | None = None,
        options: dict[str, Any] | None = None,
        refine: Refine | None = None,
    ):
        self.model, self.top_k, self.options, self.refine = model, top_k, options, refine
        self._reranker: Reranker | None = None

    def warm_up(self) -> None:
        """Load the model, once."""
        if self._reranker is None:
            loaded = load(self.model, **(self.options or {}))
            if not isinstance(loaded, Reranker):
                raise InputError(f"{self.model}: expected a model for text-ranking, found a {type(loaded).__name__}.")
            self._reranker = loaded

    @component.output_types(documents=list[Document])
    def run(self, query: str, documents: list[Document], top_k: int | None = None) -> dict[str, list[Document]]:
        """Rank `documents`; those without text count as empty ones."""
        self.warm_up()
        assert self._reranker is not None
        wanted = self.top_k if top_k is None else top_k
        texts = [each.content or "" for each in documents]
        ranking = self._reranker.rank(query, texts, top_k=wanted, refine=self.refine)
        found = [replace(documents[row["corpus_id"]], score=float(row["score"])) for row in ranking]
        return {"documents": found}

    def to_dict(self) -> dict[str, Any]:
        """For Haystack's pipeline files."""
        data: dict[str, Any] = default_to_dict(
            self, model=self.model, top_k=self.top_k, options=self.options, refine=self.refine
        )
        return data

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "ArtificerRanker":
        """From Haystack's pipeline files."""
        made: ArtificerRanker = default_from_dict(cls, data)
        return made
