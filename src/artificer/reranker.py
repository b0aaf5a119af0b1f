"""The object that a service holds: pairs in, scores or a ranking out."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from artificer import scoring
from artificer.backends import Session
from artificer.errors import InputError
from artificer.manifest import Manifest, Variant
from artificer.pairs import check_pairs
from artificer.tokenization import PairTokenizer


class Reranker:
    """A loaded variant. Made by `artificer.load`."""

    def __init__(self, *, manifest: Manifest, variant: Variant, session: Session, tokenizer: PairTokenizer):
        self.manifest = manifest
        self.variant = variant
        self._session = session
        self._tokenizer = tokenizer

    @property
    def num_labels(self) -> int:
        """How many logits the model returns per pair."""
        return len(self.manifest.labels)

    def predict(self, inputs: Any, batch_size: int = 32) -> NDArray[Any] | np.float32:
        """Activated scores: `[n]` for one label, else `[n, labels]`; without the first axis for a single pair."""
        pairs, single = check_pairs(inputs)
        logits = scoring.logits(self._session, self._tokenizer, pairs, batch_size=batch_size)
        scores = scoring.activate(logits, self.manifest.activation)
        if not pairs:
            return np.asarray([])
        found: NDArray[Any] = scores[:, 0] if self.num_labels == 1 else scores
        return found[0] if single else found

    def rank(
        self, query: str, documents: Sequence[str], top_k: int | None = None, return_documents: bool = False
    ) -> list[dict[str, Any]]:
        """`{"corpus_id", "score"[, "text"]}` per document, best first; by logit, ties by input order."""
        if self.num_labels != 1:
            raise InputError("rank() only works for models with one label; use predict().")
        pairs, _ = check_pairs([(query, document) for document in documents])
        if not pairs:
            return []
        logits = scoring.logits(self._session, self._tokenizer, pairs)[:, 0]
        scores = scoring.activate(logits[:, None], self.manifest.activation)[:, 0]
        order = np.argsort(-logits, kind="stable")[:top_k]
        found = [{"corpus_id": int(i), "score": scores[i]} for i in order]
        if return_documents:
            for row in found:
                row["text"] = documents[row["corpus_id"]]
        return found

    def close(self) -> None:
        """Give the runtime's memory back."""
        self._session.close()
