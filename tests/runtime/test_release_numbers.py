"""Versions of packages are compared by their numbers."""

from hypothesis import given
from hypothesis import strategies as st

from artificer.selection.release_numbers import at_least, release


@given(st.text(max_size=20), st.text(max_size=20))
def test_versions_compare_without_raising(one: str, other: str) -> None:
    """Any two texts have an order, and each is at least itself."""
    assert at_least(one, one)
    assert at_least(one, other) or at_least(other, one)


def test_versions_compare_by_number() -> None:
    """1.9 is older than 1.10, suffixes do not count, missing parts are zero."""
    assert not at_least("1.9", "1.10")
    assert at_least("1.20.0rc1", "1.20")
    assert release("2026.4.1-20000-abc") == (2026, 4, 1)
