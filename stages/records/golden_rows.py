"""Which evaluation pairs are the golden samples."""

from collections.abc import Sequence

from stages.records.pairs import Pair


def golden_rows(logits: Sequence[Sequence[float]], pairs: Sequence[Pair], count: int) -> list[int]:
    """Rows spread evenly over the range of the first logit, lowest and highest included: a self-test must see both.

    Only the shorter half of the pairs is looked at, since every load scores them.
    """
    sizes = [len(pair.query) + len(pair.passage) for pair in pairs]
    short = sorted(range(len(logits)), key=lambda i: (sizes[i], i))[: max(count, len(logits) // 2)]
    order = sorted(short, key=lambda i: (logits[i][0], i))
    count = min(count, len(order))
    return [order[round(step * (len(order) - 1) / max(1, count - 1))] for step in range(count)]
