"""Text ranking: how relevant a passage is to a query. One logit per pair, and an order of the passages of a query."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from artificer.errors import InputError
from artificer.inference.activations import Activator, activator
from artificer.inference.input_checks import EncodingErrors, check_text
from artificer.inference.loaded_model import DEFAULT_ROWS, OnTruncate
from artificer.inference.scoring import Limits
from artificer.tasks.pair_model import PairModel, PairTask, classifier_head, refuse, refuse_tensors

Ranking = list[dict[str, Any]]


class Reranker(PairModel):
    """A loaded reranker: `predict` scores pairs, `rank` orders the documents of a query, both as CrossEncoder does."""

    def rank(
        self,
        query: str,
        documents: Sequence[str],
        top_k: int | None = None,
        return_documents: bool = False,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int = DEFAULT_ROWS,
        show_progress_bar: bool | None = None,
        activation_fn: Activator | str | None = None,
        apply_softmax: bool | None = False,
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        device: str | None = None,
        pool: None = None,
        chunk_size: None = None,
        *,
        on_truncate: OnTruncate | None = None,
        errors: EncodingErrors | None = None,
        timeout: float | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Ranking:
        """The documents' `{"corpus_id", "score"[, "text"]}`, best first, at most `top_k`.

        Ordered by logit, where scores may have saturated to equal values; equal logits keep the input's order. With an
        `activation_fn` of the caller's own, which may be anything, ordered by its scores.

        Raises:
            InputError: as for `predict`.
        """
        refuse(prompt_name=prompt_name, pool=pool, chunk_size=chunk_size)
        self._check_device(device)
        refuse_tensors(convert_to_numpy, convert_to_tensor)
        limits = Limits.after(timeout, cancelled)
        encoding_errors = self._encoding_errors(errors)
        query = check_text(query, "Query", encoding_errors)
        prompt = None if prompt is None else check_text(prompt, "prompt", encoding_errors)
        if isinstance(documents, str | bytes):
            raise InputError("documents: expected a list of texts, found a single one.")
        texts = list(documents)
        pairs = [(query, check_text(text, f"Document {i}", encoding_errors)) for i, text in enumerate(texts)]
        apply = activator(
            activation_fn, classifier_head(self.manifest.head).activation, bool(apply_softmax) and self.num_labels > 1
        )
        if not pairs:
            return []
        logits = self._logits(pairs, prompt, batch_size, show_progress_bar, on_truncate, limits)
        scores = apply(logits).reshape(len(pairs))
        keys = scores if callable(activation_fn) else logits[:, 0]
        order = np.argsort(-keys, kind="stable")[:top_k]
        if return_documents:
            return [{"corpus_id": int(i), "score": scores[i], "text": texts[i]} for i in order]
        return [{"corpus_id": int(i), "score": scores[i]} for i in order]

    async def arank(
        self, query: str, documents: Sequence[str], *, timeout: float | None = None, **arguments: Any
    ) -> Ranking:
        """`rank` for asyncio; see `apredict`."""
        ranking: Ranking = await self._acall(self.rank, query, documents, timeout=timeout, **arguments)
        return ranking


class TextRanking(PairTask):
    """One label; the service holds a `Reranker`."""

    name = "text-ranking"
    model_class = Reranker
    head_size = 1
