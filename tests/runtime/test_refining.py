"""The order of the first documents from approximate scores: equal to the exact one, and little is computed again."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from artificer.inference.refining import ErrorBound, Indices, Logits, refine, sigmoid

LOGITS = st.floats(-12, 12, width=32)
COARSE = st.integers(-6, 6).map(float)  # many equal ones
ROWS = st.integers(1, 8)


class Exact:
    """Answers from a list, and remembers what it was asked."""

    def __init__(self, logits: Logits):
        self.logits = logits
        self.asked: list[int] = []

    def __call__(self, positions: Indices) -> Logits:
        """The logits at some positions."""
        self.asked += positions.tolist()
        return self.logits[positions]


@st.composite
def perturbed(draw: st.DrawFn) -> tuple[Logits, Logits, float]:
    """Exact logits, fast ones within a bound of them, and the bound."""
    exact = draw(st.lists(st.one_of(LOGITS, COARSE), min_size=1, max_size=40))
    bound = draw(st.sampled_from([0.0, 0.01, 0.3, 2.0]))
    shifts = draw(st.lists(st.floats(-1, 1), min_size=len(exact), max_size=len(exact)))
    found = np.array(exact, dtype=np.float32)
    return found, (found + bound * np.array(shifts)).astype(np.float32), bound


def first(logits: Logits, top_k: int) -> list[int]:
    """The order of the exact ranking."""
    found: list[int] = np.argsort(-logits, kind="stable")[:top_k].tolist()
    return found


def distance(one: Logits, other: Logits) -> ErrorBound:
    """The bound that holds for two lists: what rounding to float32 added is in it."""
    return ErrorBound(
        logit=float(np.abs(one.astype(np.float64) - other).max()),
        score=float(np.abs(sigmoid(one) - sigmoid(other)).max()),
    )


@given(perturbed(), st.integers(1, 45), ROWS)
def test_logits_within_a_bound_give_the_exact_order(
    given_logits: tuple[Logits, Logits, float], top_k: int, rows: int
) -> None:
    """The first top_k are those of the exact ranking, in its order, with its logits; and it says so."""
    exact, fast, _ = given_logits
    bound = ErrorBound(logit=distance(exact, fast).logit)
    found = refine(fast, Exact(exact), top_k=top_k, bound=bound, rows=rows)
    assert found.order.tolist() == first(exact, top_k)
    assert found.logits.tolist() == exact[found.order].tolist()
    assert found.certain


@given(perturbed(), st.integers(1, 45), ROWS)
def test_scores_within_a_bound_give_the_exact_order(
    given_logits: tuple[Logits, Logits, float], top_k: int, rows: int
) -> None:
    """A bound of scores does what a bound of logits does, saturated or not."""
    exact, fast, _ = given_logits
    bound = ErrorBound(score=distance(exact, fast).score)
    assert refine(fast, Exact(exact), top_k=top_k, bound=bound, rows=rows).order.tolist() == first(exact, top_k)


@given(perturbed(), st.integers(1, 45), ROWS)
def test_both_bounds_give_the_exact_order(given_logits: tuple[Logits, Logits, float], top_k: int, rows: int) -> None:
    """A document is out when one of the bounds says so."""
    exact, fast, _ = given_logits
    found = refine(fast, Exact(exact), top_k=top_k, bound=distance(exact, fast), rows=rows)
    assert found.order.tolist() == first(exact, top_k)


@given(perturbed(), st.integers(1, 45), ROWS, st.integers(0, 10))
def test_no_document_is_scored_twice_and_none_beyond_the_limit(
    given_logits: tuple[Logits, Logits, float], top_k: int, rows: int, more: int
) -> None:
    """With a limit, the best of what was scored comes back, and `certain` is claimed only where it holds."""
    exact, fast, _ = given_logits
    asked = Exact(exact)
    found = refine(fast, asked, top_k=top_k, bound=distance(exact, fast), at_most=top_k + more, rows=rows)
    assert len(asked.asked) == len(set(asked.asked)) == found.rescored <= top_k + more
    assert len(found.order) == min(top_k, len(fast))
    if found.certain:
        assert found.order.tolist() == first(exact, top_k)


@given(perturbed(), st.integers(1, 20))
def test_documents_that_the_bound_rules_out_are_not_scored(
    given_logits: tuple[Logits, Logits, float], top_k: int
) -> None:
    """Nothing is scored that lies below the leading top_k's own exact threshold by more than the bound."""
    exact, fast, _ = given_logits
    bound, asked = distance(exact, fast), Exact(exact)
    refine(fast, asked, top_k=top_k, bound=bound)
    leading = first(fast, top_k)
    assert bound.logit is not None
    threshold = float(exact[leading].min())
    out = {i for i in range(len(fast)) if float(fast[i]) + bound.logit < threshold - 1e-6}
    assert not out & (set(asked.asked) - set(leading))


def test_scores_far_apart_need_only_the_leading_ones() -> None:
    """What is far below is never computed again."""
    exact = np.array([9, 8, 7, -5, -6, -7], dtype=np.float32)
    found = refine(exact, Exact(exact), top_k=3, bound=ErrorBound(logit=0.5))
    assert (found.rescored, found.certain) == (3, True)


def test_a_tie_at_the_threshold_is_decided_by_position() -> None:
    """As in the exact ranking, of equal logits the earlier document comes first, though its fast score is lower."""
    exact = np.array([1, 2, 1], dtype=np.float32)
    fast = np.array([0.9, 2, 1.1], dtype=np.float32)
    found = refine(fast, Exact(exact), top_k=2, bound=ErrorBound(logit=0.125))
    assert found.order.tolist() == [1, 0]


def test_an_observed_difference_above_the_bound_takes_its_place() -> None:
    """A bound that was measured on other texts may be too small: what is seen on the way counts too."""
    exact = np.array([1.0, 4.0], dtype=np.float32)
    fast = np.array([3.0, 2.5], dtype=np.float32)
    found = refine(fast, Exact(exact), top_k=1, bound=ErrorBound(logit=0.1))
    assert found.order.tolist() == [1]
    assert found.observed.logit == pytest.approx(2.0)


def test_without_any_bound_everything_is_scored() -> None:
    """No bound is no reason to trust a fast score."""
    exact = np.arange(50, dtype=np.float32)
    assert refine(exact, Exact(exact), top_k=1, bound=ErrorBound()).rescored == 50


def test_a_limit_that_is_reached_is_reported() -> None:
    """The caller is told that the order may differ from the exact one."""
    exact = np.linspace(0, 1, 50, dtype=np.float32)
    found = refine(exact, Exact(exact), top_k=5, bound=ErrorBound(logit=10.0), at_most=20)
    assert (found.rescored, found.certain) == (20, False)


def test_bounds_of_both_sides_add_up() -> None:
    """Both were measured against the reference."""
    both = ErrorBound(logit=1.0, score=0.5).plus(ErrorBound(logit=0.25))
    assert (both.logit, both.score) == (1.25, None)
