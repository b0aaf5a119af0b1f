"""Text ranking: how relevant a passage is to a query. One logit per pair, and an order of the passages of a query."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from artificer.backends.session import Session
from artificer.errors import InputError
from artificer.inference.activations import Activator, activator
from artificer.inference.batching import DEFAULT_ROWS
from artificer.inference.input_checks import EncodingErrors, check_choice, check_text
from artificer.inference.loaded_model import OnTruncate, check_batch_size
from artificer.inference.refining import ErrorBound, Indices, Logits
from artificer.inference.refining import refine as refine_order
from artificer.inference.scoring import Limits, logits_as_they_are, score_encoded
from artificer.inference.tokenization import Encoded
from artificer.tasks.pair_model import PairModel, PairTask, classifier_head, refuse, refuse_tensors
from artificer.tasks.ranking import Ranking, Refine, Refinement


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
        refine: Refine | None = None,
        refine_at_most: int | None = None,
    ) -> Ranking:
        """The documents' `{"corpus_id", "score"[, "text"]}`, best first, at most `top_k`.

        Ordered by logit, where scores may have saturated to equal values; equal logits keep the input's order. With an
        `activation_fn` of the caller's own, which may be anything, ordered by its scores.

        With `refine="exact"`, all documents are scored by the loaded execution, and the leading ones by a float32
        execution too, until no other document can belong among the first `top_k`, by the error bound that was proven
        for both and by the differences that were seen. Every score that is returned is then the float32 execution's,
        and the result's `refinement` says how many were scored twice and whether the order is certain (`Refinement`).
        Without a `top_k` all documents are scored by the float32 execution alone. It is opened at the first such call,
        and takes memory of its own (`explain`). `refine_at_most` ends the search after as many float32 scores.

        Raises:
            InputError: as for `predict`; `refine` beside a function of the caller's own, or a `refine_at_most` below
                `top_k`.
            SelectionError: `refine`, and no float32 execution is admissible on this machine.
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
        check_refine(refine, refine_at_most, top_k, activation_fn)
        texts = list(documents)
        pairs = [(query, check_text(text, f"Document {i}", encoding_errors)) for i, text in enumerate(texts)]
        apply = activator(
            activation_fn, classifier_head(self.manifest.head).activation, bool(apply_softmax) and self.num_labels > 1
        )
        if not pairs:
            return Ranking()
        refinement = None
        if refine is None or self._second is None:
            logits = self._logits(pairs, prompt, batch_size, show_progress_bar, on_truncate, limits)
            scores = apply(logits).reshape(len(pairs))
            keys = scores if callable(activation_fn) else logits[:, 0]
            order = np.argsort(-keys, kind="stable")[:top_k]
            scores = scores[order]
            if refine is not None:
                label = self._explanation.variant
                refinement = Refinement(execution=label, documents=len(pairs), rescored=0, certain=True)
        else:
            encoded = self._encode(pairs, prompt, limits, on_truncate)
            order, logits, refinement = self._refined(encoded, batch_size, limits, top_k, refine_at_most)
            scores = apply(logits[:, None]).reshape(len(order))
        rows = [{"corpus_id": int(i), "score": score} for i, score in zip(order, scores, strict=True)]
        if return_documents:
            rows = [row | {"text": texts[row["corpus_id"]]} for row in rows]
        ranking = Ranking(rows)
        ranking.refinement = refinement
        return ranking

    def _refined(
        self, encoded: Encoded, batch_size: int, limits: Limits, top_k: int | None, at_most: int | None
    ) -> tuple[Indices, Logits, Refinement]:
        """The first documents, best first, their exact logits, and how that came about."""
        check_batch_size(batch_size)
        session = self._open_session()
        assert self._second is not None
        exact = self._second.get()
        count = len(encoded)
        wanted = count if top_k is None else min(top_k, count)

        def score(session: Session, chosen: Encoded) -> Logits:
            found = score_encoded(
                session,
                self._tokenizer,
                chosen,
                collect=logits_as_they_are,
                batch_size=batch_size,
                limits=limits,
            )
            return found[:, 0]

        # Where every document is returned, each needs its exact score: a fast one would decide nothing.
        fast = score(session, encoded) if wanted < count else np.zeros(count, dtype=np.float32)
        found = refine_order(
            fast,
            lambda positions: score(exact.session, encoded.at(positions)),
            top_k=wanted,
            bound=exact.bound,
            at_most=at_most,
        )
        seen = found.observed if wanted < count else ErrorBound()
        refinement = Refinement(
            execution=exact.label,
            documents=count,
            rescored=found.rescored,
            certain=found.certain,
            score_bound=exact.bound.score,
            logit_bound=exact.bound.logit,
            largest_score_difference=seen.score,
            largest_logit_difference=seen.logit,
        )
        return found.order, found.logits, refinement

    async def arank(
        self, query: str, documents: Sequence[str], *, timeout: float | None = None, **arguments: Any
    ) -> Ranking:
        """`rank` for asyncio; see `apredict`."""
        ranking: Ranking = await self._acall(self.rank, query, documents, timeout=timeout, **arguments)
        return ranking


def check_refine(
    refine: str | None, at_most: int | None, top_k: int | None, activation_fn: Activator | str | None
) -> None:
    """Raise InputError for arguments of `rank` that do not go together."""
    if refine is None:
        if at_most is not None:
            raise InputError("refine_at_most: it limits refine='exact', which was not given.")
        return
    check_choice("refine", refine, Refine)
    if top_k is not None and top_k < 1:
        raise InputError(f"top_k: refine='exact' needs at least 1, found {top_k}.")
    if at_most is not None and (top_k is None or at_most < top_k):
        raise InputError(f"refine_at_most: expected at least top_k, which is {top_k}, found {at_most}.")
    if callable(activation_fn):
        raise InputError(
            "activation_fn: refine='exact' orders by logit, and a function may change the order; pass a name, or None."
        )


class TextRanking(PairTask):
    """One label; the service holds a `Reranker`."""

    name = "text-ranking"
    model_class = Reranker
    head_size = 1
