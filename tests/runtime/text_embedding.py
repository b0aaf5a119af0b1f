"""A task of its own: vectors of single texts. Registered by the test, without editing a module."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from artificer.backends.session import Inputs
from artificer.inference.loaded_model import LoadedModel
from artificer.inference.scoring import Limits
from artificer.inference.tokenization import Text
from artificer.manifest import EmbeddingHead, Head, Metrics

Rows = NDArray[np.float32]


class Embedder(LoadedModel):
    """A loaded embedder."""

    def embed(self, texts: Sequence[str]) -> Rows:
        """One unit vector for each text."""
        task = TextEmbedding()
        return task.scores(self._rows(texts, task.collect, batch_size=2, limits=Limits()), self.manifest.head)


class TextEmbedding:
    """The mean of a text's token vectors; two results differ by the angle between them."""

    name = "text-embedding"
    output = "vectors"
    head: type[Head] = EmbeddingHead
    head_size: int | None = None
    sample_inputs: tuple[str, ...] = ("text",)
    model_class: type[LoadedModel] = Embedder

    def text(self, inputs: Mapping[str, str]) -> Text:
        """See `Task`."""
        return inputs["text"]

    def collect(self, output: Rows, inputs: Inputs) -> Rows:
        """Mean pooling over the tokens that are not padding."""
        mask = inputs["attention_mask"][:, :, None]
        found: Rows = ((output * mask).sum(axis=1) / mask.sum(axis=1)).astype(np.float32)
        return found

    def scores(self, rows: Rows, head: Head) -> Rows:  # noqa: ARG002
        """Unit vectors."""
        found: Rows = rows / np.linalg.norm(rows, axis=-1, keepdims=True)
        return found

    def differences(
        self,
        found: Rows,
        expected: Rows,
        head: Head,
        texts: Sequence[Text],  # noqa: ARG002
        top_k: int,  # noqa: ARG002
    ) -> Metrics:
        """The largest difference of a number, and the least cosine of two vectors."""
        cosines = (self.scores(found, head) * self.scores(expected, head)).sum(axis=-1)
        return {"output_max_abs": float(np.abs(found - expected).max()), "cosine_min": float(cosines.min())}
