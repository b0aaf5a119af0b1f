"""What the tasks over pairs of texts share: how pairs become rows of logits and scores, and the call `predict`."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from artificer.backends.session import Inputs
from artificer.errors import InputError
from artificer.inference.activations import Activator, activate, activator
from artificer.inference.batching import DEFAULT_ROWS
from artificer.inference.input_checks import EncodingErrors, check_pairs, check_text
from artificer.inference.loaded_model import LoadedModel, OnTruncate, check_batch_size
from artificer.inference.scoring import Limits, logits_as_they_are
from artificer.inference.tokenization import Pair, Text
from artificer.manifest import ClassifierHead, Head, Metrics
from artificer.tasks.differences import classifier_differences, group_by_query


class PairModel(LoadedModel):
    """A loaded cross-encoder.

    `predict` takes CrossEncoder's arguments, in its order, and returns what it returns; what needs torch is refused,
    with what to do instead. Beside those, each call takes `on_truncate` (`ok`, `warn` or `error`) and `errors`
    (`strict` or `replace`), both by default as given to `load`; `timeout` in seconds; and `cancelled`, a function
    that is called between two batches.
    """

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the model's labels, in the order of its logits."""
        return classifier_head(self.manifest.head).labels

    @property
    def num_labels(self) -> int:
        """How many logits the model returns per pair."""
        return len(self.labels)

    def predict(
        self,
        inputs: Any,
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
    ) -> Any:
        """Scores of `(query, passage)` pairs, activated, float32, in input order.

        Returns:
            For a list, `[n]` with one label, else `[n, labels]`; for a single pair the same without the first axis; an
            empty float64 array for an empty list, as CrossEncoder does.

        Raises:
            InputError: a pair or an argument that cannot be scored; it is a ValueError too.
            DeadlineError: `timeout` passed, or `cancelled` said so.
            ScoreError: the model returned NaN.
            ClosedError: after `close`, or in a forked child.
        """
        refuse(prompt_name=prompt_name, pool=pool, chunk_size=chunk_size)
        self._check_device(device)
        refuse_tensors(convert_to_numpy, convert_to_tensor)
        limits = Limits.after(timeout, cancelled)
        encoding_errors = self._encoding_errors(errors)
        pairs, single = check_pairs(inputs, encoding_errors)
        prompt = None if prompt is None else check_text(prompt, "prompt", encoding_errors)
        apply = activator(
            activation_fn, classifier_head(self.manifest.head).activation, bool(apply_softmax) and self.num_labels > 1
        )
        logits = self._logits(pairs, prompt, batch_size, show_progress_bar, on_truncate, limits)
        if not pairs:
            return np.asarray([])
        scores = apply(logits)
        found = scores[:, 0] if self.num_labels == 1 and scores.ndim == 2 else scores
        return found[0] if single else found

    async def apredict(self, inputs: Any, *, timeout: float | None = None, **arguments: Any) -> Any:
        """`predict` for asyncio. `timeout` counts the time in the queue too; cancelling the task stops the scoring.

        Raises:
            OverloadedError: `max_pending` calls are waiting already.
        """
        return await self._acall(self.predict, inputs, timeout=timeout, **arguments)

    def truncated(self, inputs: Any) -> NDArray[np.bool_]:
        """Which pairs are longer than `max_length`, `[n]`: what `on_truncate` would report."""
        pairs, _ = check_pairs(inputs, self._errors)
        return self._tokenizer.encode(pairs).truncated if pairs else np.zeros(0, dtype=np.bool_)

    def _logits(
        self,
        pairs: list[Pair],
        prompt: str | None,
        batch_size: int,
        show_progress_bar: bool | None,
        on_truncate: OnTruncate | None,
        limits: Limits,
    ) -> NDArray[np.float32]:
        if not pairs:
            check_batch_size(batch_size)
            self._open_session()
            return np.empty((0, self.num_labels), dtype=np.float32)
        return self._rows(
            pairs,
            logits_as_they_are,
            prompt=prompt,
            batch_size=batch_size,
            limits=limits,
            show_progress_bar=show_progress_bar,
            on_truncate=on_truncate,
        )

    def _check_device(self, device: str | None) -> None:
        own = self._explanation.device
        if device not in (None, own):
            raise InputError(
                f"device: this model was loaded on {own}, a call cannot move it: load it again with device={device!r}."
            )


class PairTask:
    """The part of a task that all tasks over pairs share; see `tasks.Task`."""

    output = "logits"
    sample_inputs = ("query", "passage")
    head: type[Head] = ClassifierHead
    head_size: int | None = None

    def text(self, inputs: Mapping[str, str]) -> Text:
        """A sample's named inputs as what the tokenizer takes."""
        return inputs["query"], inputs["passage"]

    def collect(self, output: NDArray[np.float32], inputs: Inputs) -> NDArray[np.float32]:
        """The logits of a batch, `[batch, labels]`, as they are."""
        return logits_as_they_are(output, inputs)

    def scores(self, rows: NDArray[np.float32], head: Head) -> NDArray[np.float32]:
        """The logits with the head's activation applied, same shape."""
        return activate(rows, classifier_head(head).activation)

    def differences(
        self, found: NDArray[np.float32], expected: NDArray[np.float32], head: Head, texts: Sequence[Text], top_k: int
    ) -> Metrics:
        """See `differences.classifier_differences`; the ranking is among the pairs of one query."""
        groups = group_by_query([text[0] for text in texts])
        return classifier_differences(found, expected, classifier_head(head).activation, groups, top_k)


def classifier_head(head: Head) -> ClassifierHead:
    """`head` itself, which the loader has checked to be a classifier's."""
    assert isinstance(head, ClassifierHead)
    return head


def refuse(*, prompt_name: object, pool: object, chunk_size: object) -> None:
    """Raise InputError for arguments of CrossEncoder that mean nothing here."""
    if prompt_name is not None:
        raise InputError("prompt_name: a published model has no named prompts; pass the text itself as prompt.")
    if pool is not None or chunk_size is not None:
        raise InputError("pool, chunk_size: one process uses all cores here; start several processes in your server.")


def refuse_tensors(convert_to_numpy: bool, convert_to_tensor: bool) -> None:
    """Raise InputError for a caller who wants torch tensors."""
    if convert_to_tensor or not convert_to_numpy:
        raise InputError("Scores are numpy arrays here, without torch: wrap them in torch.from_numpy(...).")
