"""The object that a service holds: pairs in, scores or a ranking out."""

import os
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from artificer.backends import Inputs, Session
from artificer.errors import ClosedError, InputError
from artificer.inference.activations import Activator, activator
from artificer.inference.batching import full_batches, single_buckets
from artificer.inference.call_queue import CallQueue
from artificer.inference.input_checks import check_choice, check_pairs, check_text
from artificer.inference.scoring import Limits, score_encoded
from artificer.inference.tokenization import Encoded, Pair, PairTokenizer
from artificer.loading.explain import Explanation
from artificer.manifest import Manifest

OnTruncate = Literal["ok", "warn", "error"]
Ranking = list[dict[str, Any]]
DEFAULT_ROWS = 32  # CrossEncoder's batch_size


class TruncationWarning(UserWarning):
    """Pairs were longer than the model's max_length: their scores are of what was left."""


class Reranker:
    """A loaded variant. Made by `artificer.load`; safe to share between threads; a context manager.

    `predict` and `rank` take CrossEncoder's arguments, in its order, and return what it returns; what needs torch is
    refused with a word on what to do instead. Beside those, each call takes `on_truncate` (`ok`, `warn` or `error`;
    default as given to `load`), `timeout` in seconds, and `cancelled`, a function that is asked between two batches.
    """

    def __init__(
        self,
        *,
        manifest: Manifest,
        session: Session,
        tokenizer: PairTokenizer,
        explanation: Explanation,
        on_truncate: OnTruncate = "ok",
        max_pending: int = 64,
    ):
        self.manifest = manifest
        self._session: Session | None = session
        self._tokenizer = tokenizer
        self._explanation = explanation
        self._on_truncate: OnTruncate = on_truncate
        self._queue = CallQueue(max_pending)
        self._owner = os.getpid()
        self._lock = threading.Lock()

    @property
    def num_labels(self) -> int:
        """How many logits the model returns per pair."""
        return len(self.manifest.labels)

    @property
    def max_length(self) -> int:
        """Tokens of a pair, special ones included, beyond which it is truncated."""
        return self._tokenizer.max_length

    def explain(self) -> Explanation:
        """Which variant runs and why, what was rejected and why, threads, precision, versions."""
        return self._explanation

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
        _refuse(prompt_name=prompt_name, pool=pool, chunk_size=chunk_size)
        self._check_device(device)
        _refuse_tensors(convert_to_numpy, convert_to_tensor)
        limits = Limits.after(timeout, cancelled)
        pairs, single = check_pairs(inputs)
        apply = activator(activation_fn, self.manifest.activation, bool(apply_softmax))
        logits = self._logits(pairs, prompt, batch_size, show_progress_bar, on_truncate, limits)
        if not pairs:
            return np.asarray([])
        scores = apply(logits)
        found = scores[:, 0] if self.num_labels == 1 and scores.ndim == 2 else scores
        return found[0] if single else found

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
        timeout: float | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Ranking:
        """The documents' `{"corpus_id", "score"[, "text"]}`, best first, at most `top_k`.

        Ordered by logit, where scores may have saturated to equal values; equal logits keep the input's order. With an
        `activation_fn` of the caller's own, which may be anything, ordered by its scores.

        Raises:
            InputError: as for `predict`, and for a model with several labels.
        """
        _refuse(prompt_name=prompt_name, pool=pool, chunk_size=chunk_size)
        self._check_device(device)
        _refuse_tensors(convert_to_numpy, convert_to_tensor)
        if self.num_labels != 1:
            raise InputError(
                f"rank() only works for models with one label; {self.manifest.slug} has {self.num_labels}:"
                " use predict() with pairs."
            )
        limits = Limits.after(timeout, cancelled)
        check_text(query, "Query")
        if isinstance(documents, str | bytes):
            raise InputError("documents: expected a list of texts, found a single one.")
        texts = list(documents)
        pairs = [(query, check_text(text, f"Document {i}")) for i, text in enumerate(texts)]
        apply = activator(activation_fn, self.manifest.activation, bool(apply_softmax))
        if not pairs:
            return []
        logits = self._logits(pairs, prompt, batch_size, show_progress_bar, on_truncate, limits)
        scores = apply(logits).reshape(len(pairs))
        keys = scores if callable(activation_fn) else logits[:, 0]
        order = np.argsort(-keys, kind="stable")[:top_k]
        if return_documents:
            return [{"corpus_id": int(i), "score": scores[i], "text": texts[i]} for i in order]
        return [{"corpus_id": int(i), "score": scores[i]} for i in order]

    async def apredict(self, inputs: Any, *, timeout: float | None = None, **arguments: Any) -> Any:
        """`predict` for asyncio. `timeout` counts the time in the queue too; cancelling the task stops the scoring.

        Raises:
            OverloadedError: `max_pending` calls are waiting already.
        """
        self._open_session()
        return await self._queue.call(self.predict, inputs, timeout=timeout, **arguments)

    async def arank(
        self, query: str, documents: Sequence[str], *, timeout: float | None = None, **arguments: Any
    ) -> Ranking:
        """`rank` for asyncio; see `apredict`."""
        self._open_session()
        ranking: Ranking = await self._queue.call(self.rank, query, documents, timeout=timeout, **arguments)
        return ranking

    def truncated(self, inputs: Any) -> NDArray[np.bool_]:
        """Which pairs are longer than `max_length`, `[n]`: what `on_truncate` would report."""
        pairs, _ = check_pairs(inputs)
        return self._tokenizer.encode(pairs).truncated if pairs else np.zeros(0, dtype=np.bool_)

    def warm(self, rows: Sequence[int] = (1,)) -> None:
        """Open and compile now what the first calls would.

        Where the runtime compiles per shape, that is every width that padding may give for each number of rows, at the
        price of one scoring each; and, where many batches are computed side by side, the full batches of a call with
        many pairs too: a second or two for a small model.
        """
        session = self._open_session()
        widths = list(reversed(single_buckets(self.max_length))) if session.compiles_per_shape else [1]
        for width in widths:
            for count in rows:
                session.run(self._blank(count, width))
        streams = session.parallelism
        if streams > 1:
            shapes = full_batches(self.max_length, DEFAULT_ROWS) if session.compiles_per_shape else [(1, 1)]
            for _ in session.run_many(self._blank(*shape) for shape in shapes for _ in range(streams)):
                pass

    def _blank(self, rows: int, width: int) -> Inputs:
        return {name: np.ones((rows, width), dtype=np.int64) for name in self._tokenizer.inputs}

    def close(self) -> None:
        """Give the runtime's memory back; later calls raise ClosedError. Calling it twice is fine."""
        with self._lock:
            session, self._session = self._session, None
        self._queue.close()
        if session is not None and self._owner == os.getpid():
            session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open_session(self) -> Session:
        if os.getpid() != self._owner:
            raise ClosedError(
                f"This reranker was loaded in process {self._owner}, and a runtime's threads do not survive a fork."
                " Load it in each worker (gunicorn: without --preload, or in post_fork)."
            )
        session = self._session
        if session is None:
            raise ClosedError("This reranker was closed.")
        return session

    def _logits(
        self,
        pairs: list[Pair],
        prompt: str | None,
        batch_size: int,
        show_progress_bar: bool | None,
        on_truncate: OnTruncate | None,
        limits: Limits,
    ) -> NDArray[np.float32]:
        if batch_size <= 0:
            raise InputError(f"batch_size must be a positive integer, got {batch_size}.")
        session = self._open_session()
        if not pairs:
            return np.empty((0, self.num_labels), dtype=np.float32)
        if prompt:
            check_text(prompt, "prompt")
            pairs = [(prompt + query, passage) for query, passage in pairs]
        limits.check(0, len(pairs))
        encoded = self._tokenizer.encode(pairs)
        self._report_truncated(encoded, on_truncate or self._on_truncate)
        return score_encoded(
            session,
            self._tokenizer,
            encoded,
            batch_size=batch_size,
            limits=limits,
            progress=_print_progress if show_progress_bar else None,
        )

    def _check_device(self, device: str | None) -> None:
        own = self._explanation.device
        if device not in (None, own):
            raise InputError(
                f"device: this model was loaded on {own}, a call cannot move it: load it again with device={device!r}."
            )

    def _report_truncated(self, encoded: Encoded, action: OnTruncate) -> None:
        check_choice("on_truncate", action, OnTruncate)
        if action == "ok" or not encoded.truncated.any():
            return
        where = np.flatnonzero(encoded.truncated)
        text = f"{len(where)} of {len(encoded)} pairs are longer than {self.max_length} tokens"
        text = f"{text}, the first is pair {where[0]}."
        if action == "error":
            raise InputError(f"{text} Shorten them, or pass on_truncate='ok'.")
        warnings.warn(text, TruncationWarning, stacklevel=4)


def _print_progress(done: int, total: int) -> None:
    sys.stderr.write(f"\r{done}/{total} pairs" + ("\n" if done == total else ""))
    sys.stderr.flush()


def _refuse(*, prompt_name: object, pool: object, chunk_size: object) -> None:
    if prompt_name is not None:
        raise InputError("prompt_name: a published model has no named prompts; pass the text itself as prompt.")
    if pool is not None or chunk_size is not None:
        raise InputError("pool, chunk_size: one process uses all cores here; start several processes in your server.")


def _refuse_tensors(convert_to_numpy: bool, convert_to_tensor: bool) -> None:
    if convert_to_tensor or not convert_to_numpy:
        raise InputError("Scores are numpy arrays here, without torch: wrap them in torch.from_numpy(...).")
