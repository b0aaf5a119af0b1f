"""How many rows to compute at once, so that attention's memory stays bounded."""

LONGEST_FULL_BATCH = 512  # tokens


def rows_at_once(length: int, batch_size: int) -> int:
    """How many rows of `length` tokens to compute at once, at least one. Attention takes memory by the square of the
    length, so a batch shrinks with it beyond 512 tokens."""
    return max(1, min(batch_size, batch_size * LONGEST_FULL_BATCH**2 // length**2))
