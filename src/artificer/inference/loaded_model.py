"""A loaded model: an open session with its tokenizer, safe to share between threads, until it is closed."""

import os
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from artificer.backends.session import Session
from artificer.errors import ClosedError, InputError
from artificer.inference import warming
from artificer.inference.call_queue import CallQueue
from artificer.inference.input_checks import EncodingErrors, check_choice
from artificer.inference.scoring import Collect, Limits, score_encoded
from artificer.inference.second_graph import SecondGraph
from artificer.inference.tokenization import Encoded, Text, TextTokenizer
from artificer.manifest import Manifest

OnTruncate = Literal["ok", "warn", "error"]


class TruncationWarning(UserWarning):
    """Texts were longer than the model's max_length: the results are of what was left."""


class LoadedModel:
    """What `artificer.load` returns; a task's own class adds the calls. A context manager.

    Args:
        manifest: of the package that was loaded.
        session: the graph, opened.
        tokenizer: set to the length at which texts are cut.
        explanation: what `explain` returns (`loading.explain.Explanation`).
        on_truncate: what a call does about texts that are cut, unless it says otherwise.
        max_pending: how many asynchronous calls may wait.
        errors: what a call does about lone surrogates, unless it says otherwise.
        second: the exact graph for `rank(refine="exact")`; None where the session is exact itself, or a task has no
            use for it.
    """

    def __init__(
        self,
        *,
        manifest: Manifest,
        session: Session,
        tokenizer: TextTokenizer,
        explanation: Any,
        on_truncate: OnTruncate = "ok",
        max_pending: int = 64,
        errors: EncodingErrors = "strict",
        second: SecondGraph | None = None,
    ):
        self.manifest = manifest
        self._session: Session | None = session
        self._tokenizer = tokenizer
        self._explanation = explanation
        self._on_truncate: OnTruncate = on_truncate
        self._errors: EncodingErrors = errors
        self._second = second
        self._queue = CallQueue(max_pending)
        self._owner = os.getpid()
        self._lock = threading.Lock()

    @property
    def max_length(self) -> int:
        """Tokens of an input, special ones included, beyond which it is truncated."""
        return self._tokenizer.max_length

    def explain(self) -> Any:
        """Which variant runs and why, what was rejected and why, threads, precision, versions."""
        return self._explanation

    def warm(self) -> None:
        """Open and compile now what the first calls would.

        Where the backend compiles for each shape, that is every length bucket of a single text, up to 512 tokens. Where
        batches are computed side by side, it is also what computes them (a second copy of the graph), with the full
        batches of a call with many inputs. It takes one or two seconds for a small model.
        """
        warming.warm(self._open_session(), self._tokenizer)

    def close(self) -> None:
        """Give the runtime's memory back; later calls raise ClosedError. Calling it twice is fine."""
        with self._lock:
            session, self._session = self._session, None
        self._queue.close()
        if session is not None and self._owner == os.getpid():
            session.close()
            if self._second is not None:
                self._second.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open_session(self) -> Session:
        if os.getpid() != self._owner:
            raise ClosedError(
                f"This model was loaded in process {self._owner}, and a runtime's threads do not survive a fork."
                " Load it in each worker (gunicorn: without --preload, or in post_fork)."
            )
        session = self._session
        if session is None:
            raise ClosedError("This model was closed.")
        return session

    async def _acall(self, function: Callable[..., Any], *arguments: Any, timeout: float | None, **named: Any) -> Any:
        """`function` on a compute thread; see `CallQueue.call`."""
        self._open_session()
        return await self._queue.call(function, *arguments, timeout=timeout, **named)

    def _rows(
        self,
        texts: Sequence[Text],
        collect: Collect,
        *,
        prompt: str | None = None,
        batch_size: int,
        limits: Limits,
        show_progress_bar: bool | None = None,
        on_truncate: OnTruncate | None = None,
    ) -> NDArray[np.float32]:
        """A row of results per text, in input order; `texts` must not be empty.

        Raises:
            InputError: `batch_size` is not positive, or a text is too long and `on_truncate` is `error`.
            DeadlineError: `limits` said stop.
        """
        check_batch_size(batch_size)
        session = self._open_session()
        encoded = self._encode(texts, prompt, limits, on_truncate)
        return score_encoded(
            session,
            self._tokenizer,
            encoded,
            collect=collect,
            batch_size=batch_size,
            limits=limits,
            progress=_print_progress if show_progress_bar else None,
        )

    def _encode(
        self, texts: Sequence[Text], prompt: str | None, limits: Limits, on_truncate: OnTruncate | None
    ) -> Encoded:
        """The texts, tokenized; those that are cut are reported."""
        limits.check(0, len(texts))
        encoded = self._tokenizer.encode(texts, prompt)
        self._report_truncated(encoded, on_truncate or self._on_truncate)
        return encoded

    def _encoding_errors(self, wish: EncodingErrors | None) -> EncodingErrors:
        """What a call asks for, else what was given to `load`. Raises InputError for a word that is neither."""
        if wish is None:
            return self._errors
        check_choice("errors", wish, EncodingErrors)
        return wish

    def _report_truncated(self, encoded: Encoded, action: OnTruncate) -> None:
        check_choice("on_truncate", action, OnTruncate)
        if action == "ok" or not encoded.truncated.any():
            return
        where = np.flatnonzero(encoded.truncated)
        text = f"{len(where)} of {len(encoded)} pairs are longer than {self.max_length} tokens"
        text = f"{text}, the first is pair {where[0]}."
        if action == "error":
            raise InputError(f"{text} Shorten them, or pass on_truncate='ok'.")
        warnings.warn(text, TruncationWarning, stacklevel=6)


def check_batch_size(batch_size: int) -> None:
    """Raise InputError unless it is positive."""
    if batch_size <= 0:
        raise InputError(f"batch_size must be a positive integer, got {batch_size}.")


def _print_progress(done: int, total: int) -> None:
    sys.stderr.write(f"\r{done}/{total} pairs" + ("\n" if done == total else ""))
    sys.stderr.flush()
