"""Whether scores are right at every length: alone, in batches with longer and shorter texts, and in a second process.

A runtime's kernels change with the shape, and a fault may show at some shapes only, or in some processes only. Every
shape is asked as it is, so that length buckets hide none.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from artificer.backends.session import Session
from artificer.inference.tokenization import TextTokenizer
from artificer.manifest import LengthRange, Metrics
from artificer.manifest.metric_names import LENGTH_METRIC, PROCESS_METRIC
from artificer.proving.length_texts import BLOCK, EVERY_LENGTH_TO
from artificer.proving.reference_answers import Expected, Logits

_ROWS = 4  # of a batch


@dataclass(frozen=True, slots=True)
class Asked:
    """Which text each row of `logits` belongs to, in an order that depends on the lengths alone. Those of the quick
    part come first."""

    indices: tuple[int, ...]
    logits: Logits


def ask_lengths(session: Session, tokenizer: TextTokenizer, expected: Expected, *, quick: bool = False) -> Asked:
    """What the session returns for the texts of many lengths.

    Args:
        quick: only lengths up to EVERY_LENGTH_TO and multiples of BLOCK: a part for a second process.
    """
    encoded = tokenizer.encode(expected.lengths.texts)
    indices: list[int] = []
    rows: list[Logits] = []
    for batches in _parts(expected.lengths.lengths, quick=quick):
        if not tokenizer.info.padded:  # together with itself
            batches = [batch[:1] * len(batch) for batch in batches]
        inputs = [tokenizer.batch(encoded, batch) for batch in batches]
        # Alone as a single request is computed, then side by side, as far as the session does so.
        found = map(session.run, inputs) if len(batches[0]) == 1 else session.run_many(inputs)
        for batch, given, output in zip(batches, inputs, found, strict=True):
            indices += batch
            rows.append(expected.task.collect(output, given)[: len(batch)])
    logits = np.concatenate(rows)
    if not np.isfinite(logits).all():
        raise OverflowError("it returns infinite logits")
    return Asked(tuple(indices), logits)


def length_metrics(first: Asked, second: Asked | None, expected: Expected) -> tuple[Metrics, dict[int, float]]:
    """The metrics, and the largest difference from the reference at each length.

    `length_score_max_abs` is the largest difference of a score from the reference at any length, in either process;
    `process_score_max_abs` that between the processes, null without a second one. `second` is a quick one.
    """
    reference = np.asarray(expected.lengths.outputs, dtype=np.float32)
    by_length: dict[int, float] = {}
    for asked in (first, second) if second is not None else (first,):
        gaps = expected.score_gaps(asked.logits, reference[list(asked.indices)])
        for index, gap in zip(asked.indices, gaps, strict=True):
            length = expected.lengths.lengths[index]
            by_length[length] = max(by_length.get(length, 0.0), float(gap))
    metrics: Metrics = {LENGTH_METRIC: max(by_length.values()), PROCESS_METRIC: None}
    if second is not None:
        same = first.logits[: len(second.logits)]
        metrics[PROCESS_METRIC] = float(expected.score_gaps(second.logits, same).max())
    return metrics, by_length


def faulty_ranges(by_length: dict[int, float], limit: float | None) -> tuple[LengthRange, ...]:
    """The lengths beyond the limit, as ranges of lengths that were asked one after the other."""
    if limit is None:
        return ()
    found: list[LengthRange] = []
    is_going_on = False
    for length, gap in sorted(by_length.items()):
        is_faulty = not gap <= limit
        if is_faulty and is_going_on:
            found[-1] = (found[-1][0], length)
        elif is_faulty:
            found.append((length, length))
        is_going_on = is_faulty
    return tuple(found)


def _parts(lengths: Sequence[int], *, quick: bool) -> Iterator[list[list[int]]]:
    """Lists of batches of texts: the quick ones alone, the quick ones together, then the others."""
    short = [i for i, length in enumerate(lengths) if length <= EVERY_LENGTH_TO]
    long = [i for i, length in enumerate(lengths) if length > EVERY_LENGTH_TO]
    blocks = [i for i in long if lengths[i] % BLOCK == 0]
    yield [[i] for i in [*short, *blocks]]
    # The first sets the width; shorter ones are padded to it.
    yield [_with_shorter(i) for i in short if i] + [[i, i // 2] for i in blocks]
    rest = [i for i in long if lengths[i] % BLOCK]
    if not quick and long:
        if rest:
            yield [[i] for i in rest]
        together = [long[start : start + _ROWS] for start in range(0, len(long), _ROWS)]
        yield [batch if len(batch) > 1 else [*batch, batch[0] // 2] for batch in together]


def _with_shorter(index: int) -> list[int]:
    return list(dict.fromkeys([index, index * 3 // 4, index // 2, index // 4]))
