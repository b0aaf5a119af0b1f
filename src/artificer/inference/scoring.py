"""From texts to a graph's outputs. Knows no backend."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from artificer.backends.session import Inputs, Session
from artificer.errors import DeadlineError, ScoreError
from artificer.inference.batching import DEFAULT_TOKENS, Batch, plan
from artificer.inference.tokenization import Encoded, Text, TextTokenizer
from artificer.manifest import Tuning

MANY_BATCHES = 5
"""From here on a session may compute batches side by side, for which it may have to open the graph once more."""


class Limits(Struct, frozen=True):
    """When to stop: `deadline` on `time.monotonic`'s clock; `cancelled` is asked between two batches."""

    deadline: float | None = None
    cancelled: Callable[[], bool] | None = None

    @classmethod
    def after(cls, timeout: float | None, cancelled: Callable[[], bool] | None = None) -> "Limits":
        """Limits that begin to count now; `timeout` in seconds, None for none."""
        return cls(None if timeout is None else time.monotonic() + timeout, cancelled)

    def check(self, done: int, total: int) -> None:
        """Raise DeadlineError if it is time to stop."""
        if self.cancelled is not None and self.cancelled():
            raise DeadlineError(f"Cancelled after {done} of {total} pairs.")
        if self.deadline is not None and time.monotonic() >= self.deadline:
            raise DeadlineError(f"The timeout passed after {done} of {total} pairs.")


NO_LIMITS = Limits()
Progress = Callable[[int, int], None]
"""Told after each batch: inputs done, inputs in all."""
Collect = Callable[[NDArray[np.float32], Inputs], NDArray[np.float32]]
"""The rows of results, `[batch, n]`, of a graph's output for a padded batch (`tasks.Task.collect`)."""


def logits_as_they_are(output: NDArray[np.float32], inputs: Inputs) -> NDArray[np.float32]:
    """`output` itself, checked to be logits. Raises ScoreError."""
    check_logits(output, len(next(iter(inputs.values()))))
    return output


def score_texts(
    session: Session,
    tokenizer: TextTokenizer,
    texts: Sequence[Text],
    *,
    collect: Collect = logits_as_they_are,
    batch_size: int = 32,
    tuning: Tuning | None = None,
) -> NDArray[np.float32]:
    """A row of results per text, `[len(texts), n]`, in input order; `[0, 0]` for no texts. By default the logits.

    Texts are batched by token length, longest first, at most `batch_size` texts and `tuning.max_tokens` tokens at once.

    Raises:
        InputError: a text cannot be tokenized.
        ScoreError: the model returned NaN, or another shape than `collect` expects.
    """
    if not texts:
        return np.empty((0, 0), dtype=np.float32)
    encoded = tokenizer.encode(texts)
    return score_encoded(session, tokenizer, encoded, collect=collect, batch_size=batch_size, tuning=tuning)


def score_encoded(
    session: Session,
    tokenizer: TextTokenizer,
    encoded: Encoded,
    *,
    collect: Collect = logits_as_they_are,
    batch_size: int = 32,
    tuning: Tuning | None = None,
    limits: Limits = NO_LIMITS,
    progress: Progress | None = None,
) -> NDArray[np.float32]:
    """A row of results per input, `[inputs, n]`, in input order, for inputs that are tokenized already (at least one).

    Args:
        tuning: how batches are formed and spread; None for the session's own.

    Raises:
        DeadlineError: `limits` said stop; batches that were finished are dropped.
    """
    tuned = session.tuning if tuning is None else tuning
    budget = tuned.max_tokens or DEFAULT_TOKENS
    is_split = tuned.split_from is not None and len(encoded) >= tuned.split_from and session.parallelism() > 1
    max_tokens = _share(encoded.lengths, session.parallelism(), budget) if is_split else budget
    batches = plan(
        encoded.lengths,
        max_rows=batch_size,
        max_tokens=max_tokens,
        known_up_to=tokenizer.max_length if session.compiles_per_shape else None,
        padded=tokenizer.info.padded,
    )
    side_by_side = is_split or len(batches) >= MANY_BATCHES

    def inputs(some: Sequence[Batch]) -> Iterator[Inputs]:
        for batch in some:
            limits.check(done, len(encoded))
            running.append(tokenizer.batch(encoded, batch.indices, batch.width, batch.rows))
            yield running[-1]

    def outputs() -> Iterator[NDArray[np.float32]]:
        # Batches beyond the budget are single long pairs: one at a time, since attention's memory is their length
        # squared. The others come after them: a session may read batches before its outputs are asked for, and
        # `running` must be in the order of `batches`.
        long = sum(batch.width > budget for batch in batches)
        yield from map(session.run, inputs(batches[:long]))
        rest = batches[long:]
        yield from session.run_many(inputs(rest)) if side_by_side else map(session.run, inputs(rest))

    running: deque[Inputs] = deque()
    found: NDArray[np.float32] | None = None
    done = 0
    for batch, output in zip(batches, outputs(), strict=True):
        rows = collect(output, running.popleft())
        if found is None:
            found = np.empty((len(encoded), rows.shape[1]), dtype=np.float32)
        found[batch.indices] = rows[: len(batch.indices)]
        done += len(batch.indices)
        if progress is not None:
            progress(done, len(encoded))
    assert found is not None
    return found


def _share(lengths: NDArray[np.int64], streams: int, budget: int) -> int:
    """The most tokens of a batch so that each stream has one: an equal share of all, within the budget."""
    return int(min(budget, max(-(-int(lengths.sum()) // streams), int(lengths.max()))))


def check_logits(rows: NDArray[np.float32], batch: int) -> None:
    """Raise ScoreError unless `rows` is `[batch, labels]` and holds no NaN."""
    if rows.ndim != 2 or rows.shape[0] != batch or rows.shape[1] < 1:
        raise ScoreError(f"The model returned logits of shape {rows.shape}, expected [{batch}, labels].")
    if np.isnan(rows).any():
        raise ScoreError("The model returned NaN for at least one pair: its scores cannot be trusted on this machine.")
