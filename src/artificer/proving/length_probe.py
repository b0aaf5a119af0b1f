"""Whether scores are right at every length: alone, in batches with longer and shorter texts, and in a second process.

A runtime's kernels change with the shape, and a fault may show at some shapes only, or in some processes only. Every
shape is asked as it is, so that length buckets hide none.
"""

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
from msgspec import Struct

from artificer.backends.session import Session
from artificer.inference.tokenization import TextTokenizer
from artificer.manifest import LengthRange, Metrics
from artificer.manifest.metric_names import LENGTH_METRIC, PROCESS_METRIC
from artificer.proving.length_texts import BLOCK, EVERY_LENGTH_TO
from artificer.proving.reference_answers import Expected, Logits

Part = Literal["all", "first", "second"]
"""What one process asks: everything, or what one of two does."""


class Asked(Struct, frozen=True):
    """Which text each row of `logits` belongs to, and the width of the batch that it was in, in an order that depends
    on the lengths alone. The first `repeated` rows are asked in every process."""

    indices: tuple[int, ...]
    widths: tuple[int, ...]
    logits: Logits
    repeated: int


class LengthGap(NamedTuple):
    """A text's tokens, the width of the batch that it was in, and how far its score was from the reference's."""

    length: int
    width: int
    gap: float


def ask_lengths(session: Session, tokenizer: TextTokenizer, expected: Expected, part: Part = "all") -> Asked:
    """What the session returns for the texts of many lengths: each alone, and in a batch with longer and shorter ones.

    Args:
        part: of two processes each asks everything up to EVERY_LENGTH_TO tokens. A longer text is asked alone in one
            of them, and in a batch in the other.
    """
    encoded = tokenizer.encode(expected.lengths.texts)
    indices: list[int] = []
    widths: list[int] = []
    rows: list[Logits] = []
    repeated = 0
    for is_repeated, batches in _steps(expected.lengths.lengths, part, padded=tokenizer.info.padded):
        inputs = [tokenizer.batch(encoded, batch) for batch in batches]
        # Alone as a single request is computed, then side by side, as far as the session does so.
        found = map(session.run, inputs) if len(batches[0]) == 1 else session.run_many(inputs)
        for batch, given, output in zip(batches, inputs, found, strict=True):
            indices += batch
            widths += [next(iter(given.values())).shape[1]] * len(batch)
            rows.append(expected.task.collect(output, given)[: len(batch)])
        repeated = len(indices) if is_repeated else repeated
    logits = np.concatenate(rows)
    if not np.isfinite(logits).all():
        raise OverflowError("it returns infinite logits")
    return Asked(tuple(indices), tuple(widths), logits, repeated)


def length_metrics(first: Asked, second: Asked | None, expected: Expected) -> tuple[Metrics, list[LengthGap]]:
    """The metrics, and how far each row of either process was from the reference.

    `length_score_max_abs` is the largest difference of a score from the reference at any length, in either process;
    `process_score_max_abs` that between the processes in what both are asked, null without a second one.
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
        one, other = (each.logits[: each.repeated] for each in (first, second))
        metrics[PROCESS_METRIC] = float(expected.score_gaps(other, one).max(initial=0.0))
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


def _steps(lengths: Sequence[int], part: Part, *, padded: bool) -> Iterator[tuple[bool, list[list[int]]]]:
    """Lists of batches of texts, and whether every process asks them. Without padding a text is in a batch of its own
    length, together with itself."""
    short = [i for i, length in enumerate(lengths) if length <= EVERY_LENGTH_TO]
    groups = list(_neighbours([i for i, length in enumerate(lengths) if length > EVERY_LENGTH_TO], lengths))
    ours, others = groups[::2], groups[1::2]
    alone, together = {"all": (groups, groups), "first": (ours, others), "second": (others, ours)}[part]
    # The longest sets the width; shorter ones are padded to it.
    batches = [_with_shorter(i) for i in short if i], [_with_half(group, lengths) for group in together]
    if not padded:
        batches = [[i, i] for i in short], [[i, i] for group in together for i in group]
    found = [(True, [[i] for i in short]), (True, batches[0])]
    found += [(False, [[i] for group in alone for i in group]), (False, batches[1])]
    yield from (step for step in found if step[1])


def _neighbours(long: Sequence[int], lengths: Sequence[int]) -> Iterator[list[int]]:
    """The texts in twos, where one is a token longer than the other; the rest alone."""
    place = 0
    while place < len(long):
        count = 2 if place + 1 < len(long) and lengths[long[place + 1]] == lengths[long[place]] + 1 else 1
        yield list(long[place : place + count])
        place += count


def _with_half(group: list[int], lengths: Sequence[int]) -> list[int]:
    """Beside a multiple of BLOCK, and beside a text without a neighbour, a much shorter one."""
    needed = len(group) == 1 or any(lengths[i] % BLOCK == 0 for i in group)
    return [*group, group[0] // 2] if needed else group


def _with_shorter(index: int) -> list[int]:
    return list(dict.fromkeys([index, index * 3 // 4, index // 2, index // 4]))
