"""Hypothesis strategies that several tests share."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from hypothesis.strategies import SearchStrategy
from numpy.typing import NDArray


def slugs() -> SearchStrategy[str]:
    """Names that a registry takes."""
    return st.from_regex(r"\A[a-z][a-z0-9-]{0,20}\Z").filter(lambda slug: slug not in ("null", "true", "false", "yes"))


def comments() -> SearchStrategy[str]:
    """A comment line, or an empty line, as people leave them in YAML."""
    text = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_categories=("C", "Z")), max_size=20)
    return st.one_of(st.just(""), text.map(lambda words: f"  # {words}"), text.map(lambda words: f"# {words}"))


def finite_logits(rows: int, labels: int = 1, limit: float = 60.0) -> SearchStrategy[NDArray[np.float32]]:
    """Logits [rows, labels] without NaN or infinity."""
    values = st.floats(-limit, limit, width=32)
    return st_numpy.arrays(np.float32, (rows, labels), elements=values)


def distinct_logits(rows: int) -> SearchStrategy[NDArray[np.float32]]:
    """Logits [rows, 1] that are all different, in any order."""
    return st.lists(st.integers(-2_000, 2_000), min_size=rows, max_size=rows, unique=True).map(
        lambda values: np.asarray([value / 100 for value in values], dtype=np.float32)[:, None]
    )
