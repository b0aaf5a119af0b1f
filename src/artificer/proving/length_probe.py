"""Whether scores are right at every length: alone, in batches with longer and shorter texts, and in a second process.

A runtime's kernels change with the shape, and a fault may show at some shapes only, or in some processes only. Every
shape is asked as it is, so that length buckets hide none.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

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
    """Which text each row of `logits` belongs to, and the width of the batch that it was in, in an order that depends
    on the lengths alone. Those of the quick part come first."""

    indices: tuple[int, ...]
    widths: tuple[int, ...]
    logits: Logits


class LengthGap(NamedTuple):
    """A text's tokens, the width of the batch that it was in, and how far its score was from the reference's."""

    length: int
    width: int
    gap: float


def ask_lengths(session: Session, tokenizer: TextTokenizer, expected: Expected, *, quick: bool = False) -> Asked:
    """What the session returns for the texts of many lengths.

    Args:
        quick: only lengths up to EVERY_LENGTH_TO and multiples of BLOCK: a part for a second process.
    """
    encoded = tokenizer.encode(expected.lengths.texts)
    indices: list[int] = []
    widths: list[int] = []
    rows: list[Logits] = []
    for batches in _parts(expected.lengths.lengths, quick=quick):
        if not tokenizer.info.padded:  # together with itself
            batches = [batch[:1] * len(batch) for batch in batches]
        inputs = [tokenizer.batch(encoded, batch) for batch in batches]
        # Alone as a single request is computed, then side by side, as far as the session does so.
        found = map(session.run, inputs) if len(batches[0]) == 1 else session.run_many(inputs)
        for batch, given, output in zip(batches, inputs, found, strict=True):
            indices += batch
            widths += [next(iter(given.values())).shape[1]] * len(batch)
            rows.append(expected.task.collect(output, given)[: len(batch)])
    logits = np.concatenate(rows)
    if not np.isfinite(logits).all():
        raise OverflowError("it returns infinite logits")
    return Asked(tuple(indices), tuple(widths), logits)


def length_metrics(first: Asked, second: Asked | None, expected: Expected) -> tuple[Metrics, list[LengthGap]]:
    """The metrics, and how far each row of either process was from the reference.

    `length_score_max_abs` is the largest difference of a score from the reference at any length, in either process;
    `process_score_max_abs` that between the processes, null without a second one. `second` is a quick one.
    """
    reference = np.asarray(expected.lengths.outputs, dtype=np.float32)
    found: list[LengthGap] = []
    for asked in (first, second) if second is not None else (first,):
        gaps = expected.score_gaps(asked.logits, reference[list(asked.indices)])
        lengths = [expected.lengths.lengths[index] for index in asked.indices]
        found += map(LengthGap, lengths, asked.widths, gaps.tolist())
    worst = max(found, key=lambda each: each.gap if each.gap == each.gap else np.inf).gap
    metrics: Metrics = {LENGTH_METRIC: worst, PROCESS_METRIC: None}
    if second is not None:
        same = first.logits[: len(second.logits)]
        metrics[PROCESS_METRIC] = float(expected.score_gaps(second.logits, same).max())
    return metrics, found


def faulty_ranges(gaps: Sequence[LengthGap], limit: float | None) -> tuple[LengthRange, ...]:
    """The lengths beyond the limit, as ranges of lengths that were asked one after the other.

    Where a text as long as its batch is wrong, that width is at fault, not the lengths of shorter texts in the batch.
    """
    if limit is None:
        return ()
    beyond = [each for each in gaps if not each.gap <= limit]
    widths = {each.width for each in beyond if each.length == each.width}
    faulty = {each.width if each.width in widths else each.length for each in beyond}
    found: list[LengthRange] = []
    is_going_on = False
    for length in sorted({each.length for each in gaps} | faulty):
        if length in faulty:
            found = [*found[:-1], (found[-1][0], length)] if is_going_on else [*found, (length, length)]
        is_going_on = length in faulty
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
