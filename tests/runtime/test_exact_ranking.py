"""`rank(refine="exact")`: the order and the scores of the float32 execution, and what the result says about them."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from artificer.backends.session import Session
from artificer.errors import ClosedError, InputError, SelectionError
from artificer.inference.refining import ErrorBound
from artificer.inference.second_graph import ExactGraph, SecondGraph
from artificer.loading.exact import error_bound
from artificer.loading.loader import load
from artificer.manifest import ClassifierHead, Parity
from artificer.selection.policy import BATCH_ROUNDING, movement_problem
from artificer.tasks.text_ranking import Reranker

QUERY = "how deep is the deepest lake"
WORDS = [
    "lake",
    "Baikal",
    "depth",
    "metres",
    "paper",
    "bread",
    "violin",
    "cats",
    "light",
    "autumn",
    "leaves",
    "pigment",
]
DOCUMENTS = [f"{WORDS[i % 12]} {WORDS[(i * 5 + 1) % 12]} is number {i} of {WORDS[(i * 7) % 12]}" for i in range(40)]


@pytest.fixture(scope="module")
def fast(published: Path) -> Iterator[Reranker]:
    """The half-precision graph, which every CPU runs."""
    with load(published, variant="onnx-O4") as model:
        yield model


@pytest.fixture(scope="module")
def exact(published: Path) -> Iterator[Reranker]:
    """What a caller of `accuracy="exact"` gets."""
    with load(published, accuracy="exact") as model:
        yield model


def test_order_and_scores_are_those_of_the_exact_execution(fast: Reranker, exact: Reranker) -> None:
    """Whatever the fast execution says of the documents."""
    found, expected = fast.rank(QUERY, DOCUMENTS, top_k=10, refine="exact"), exact.rank(QUERY, DOCUMENTS, top_k=10)
    assert [row["corpus_id"] for row in found] == [row["corpus_id"] for row in expected]
    np.testing.assert_allclose([row["score"] for row in found], [row["score"] for row in expected], atol=1e-6)


def test_the_result_says_what_was_done(fast: Reranker, exact: Reranker) -> None:
    """The execution, how many documents were scored twice, the bounds, and that the order is certain."""
    done = fast.rank(QUERY, DOCUMENTS, top_k=3, refine="exact").refinement
    assert done is not None
    assert (done.execution, done.documents, done.certain) == (exact.explain().variant, 40, True)
    assert 3 <= done.rescored <= 40
    assert done.score_bound is not None
    assert done.largest_score_difference is not None


def test_without_refine_the_result_is_the_list_that_crossencoder_returns(fast: Reranker) -> None:
    """A list of dicts, with nothing in it that was not there before."""
    found = fast.rank(QUERY, DOCUMENTS[:3], top_k=2)
    assert isinstance(found, list)
    assert [sorted(row) for row in found] == [["corpus_id", "score"]] * 2
    assert found.refinement is None


def test_documents_are_returned_where_asked_for(fast: Reranker) -> None:
    """As without refine."""
    found = fast.rank(QUERY, DOCUMENTS, top_k=2, refine="exact", return_documents=True)
    assert [row["text"] for row in found] == [DOCUMENTS[row["corpus_id"]] for row in found]


def test_without_top_k_every_document_is_scored_exactly(fast: Reranker, exact: Reranker) -> None:
    """A fast score would decide nothing then."""
    found = fast.rank(QUERY, DOCUMENTS, refine="exact")
    assert [row["corpus_id"] for row in found] == [row["corpus_id"] for row in exact.rank(QUERY, DOCUMENTS)]
    assert found.refinement is not None
    assert (found.refinement.rescored, found.refinement.largest_score_difference) == (40, None)


def test_a_limit_below_what_is_needed_is_told(fast: Reranker) -> None:
    """`certain` is false unless the bound ruled out the others."""
    found = fast.rank(QUERY, DOCUMENTS, top_k=3, refine="exact", refine_at_most=3)
    assert found.refinement is not None
    assert found.refinement.rescored == 3


def test_an_exact_execution_needs_no_second_one(exact: Reranker) -> None:
    """Nothing is scored twice."""
    found = exact.rank(QUERY, DOCUMENTS, top_k=3, refine="exact")
    assert found == exact.rank(QUERY, DOCUMENTS, top_k=3)
    assert found.refinement is not None
    assert (found.refinement.rescored, found.refinement.certain) == (0, True)


def test_no_documents_give_an_empty_ranking(fast: Reranker) -> None:
    """As without refine."""
    assert fast.rank(QUERY, [], top_k=3, refine="exact") == []


def test_asynchronous_calls_refine_too(fast: Reranker) -> None:
    """Through the same arguments."""
    found = asyncio.run(fast.arank(QUERY, DOCUMENTS, top_k=3, refine="exact"))
    assert found == fast.rank(QUERY, DOCUMENTS, top_k=3, refine="exact")


def test_explain_says_what_the_second_graph_takes(fast: Reranker, exact: Reranker) -> None:
    """Its name and its size; nothing where the loaded one is exact."""
    assert fast.explain().exact.startswith(f"{exact.explain().variant}, opened at the first rank")
    assert exact.explain().exact == "the loaded execution itself"


def test_where_nothing_exact_is_admissible_the_call_says_why(published: Path, fast: Reranker) -> None:
    """The model itself loads: only the call needs the second graph. Here the memory is enough for one."""
    subjects = [each for benchmark in fast.manifest.benchmarks for each in benchmark.subjects]
    need = max(each.peak_memory_bytes for each in subjects if each.id == "onnx-O4")
    with load(published, variant="onnx-O4", memory_ceiling_bytes=need) as model:
        assert model.explain().exact == "no execution is admissible"
        with pytest.raises(SelectionError, match="refine='exact' needs a variant of the fp32 class"):
            model.rank(QUERY, DOCUMENTS, top_k=3, refine="exact")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"refine": "more", "top_k": 3}, "refine"),
        ({"refine_at_most": 3, "top_k": 3}, "refine_at_most: it limits refine='exact', which was not given"),
        ({"refine": "exact", "top_k": 5, "refine_at_most": 3}, "expected at least top_k, which is 5, found 3"),
        ({"refine": "exact", "top_k": 0}, "top_k: refine='exact' needs at least 1, found 0"),
        ({"refine": "exact", "top_k": 3, "activation_fn": np.tanh}, "activation_fn: refine='exact' orders by logit"),
    ],
)
def test_arguments_that_do_not_go_together_are_refused(fast: Reranker, arguments: dict[str, Any], problem: str) -> None:
    """With the name of the argument."""
    with pytest.raises(InputError, match=problem):
        fast.rank(QUERY, DOCUMENTS, **arguments)


class Closable:
    """A session that counts how often it was closed."""

    def __init__(self) -> None:
        self.closed = 0

    def close(self) -> None:
        """Once is right."""
        self.closed += 1


def graph(session: Closable) -> ExactGraph:
    """A graph of a session."""
    return ExactGraph(session=cast(Session, session), label="onnx", bound=ErrorBound())


def test_the_second_graph_is_opened_once_for_all_threads() -> None:
    """And not before it is needed."""
    opened: list[Closable] = []

    def open_graph() -> ExactGraph:
        opened.append(Closable())
        return graph(opened[-1])

    second = SecondGraph(open_graph)
    assert not opened
    threads = [threading.Thread(target=second.get) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened) == 1


def test_closing_gives_the_second_graph_back() -> None:
    """Once, and no call opens it again."""
    session = Closable()
    second = SecondGraph(lambda: graph(session))
    second.get()
    second.close()
    second.close()
    assert session.closed == 1
    with pytest.raises(ClosedError):
        second.get()


def test_a_graph_that_did_not_open_is_tried_again() -> None:
    """A file that could not be fetched may be there at the next call."""
    found: list[Any] = [ConnectionError("no network"), graph(Closable())]

    def open_graph() -> ExactGraph:
        one = found.pop(0)
        if isinstance(one, Exception):
            raise one
        return cast(ExactGraph, one)

    second = SecondGraph(open_graph)
    with pytest.raises(ConnectionError):
        second.get()
    assert second.get().label == "onnx"


def record(**metrics: float) -> Parity:
    """A parity record with these metrics."""
    return Parity(
        runtime_version="1.0",
        isa_class="avx2",
        execution_precision="f32",
        default_precision=True,
        metrics=dict(metrics),
        thresholds={},
        verdict="passed",
        reasons=(),
    )


def test_the_bound_is_what_the_record_says() -> None:
    """Of logits and of sigmoid scores, at the length where they are worst."""
    execution = SimpleNamespace(parity=record(output_max_abs=0.3, score_max_abs=0.05, length_score_max_abs=0.07))
    head = ClassifierHead(labels=("relevant",), activation="sigmoid")
    assert error_bound(cast(Any, execution), head) == ErrorBound(logit=0.3, score=0.07)


def test_raw_logits_have_no_bound_of_scores() -> None:
    """Theirs is recorded as a share of the reference's range."""
    execution = SimpleNamespace(parity=record(output_max_abs=0.3, score_max_abs=0.05))
    head = ClassifierHead(labels=("relevant",), activation="identity")
    assert error_bound(cast(Any, execution), head) == ErrorBound(logit=0.3, score=None)


def test_scores_that_move_by_rounding_do_not_move() -> None:
    """float32 itself does not do better."""
    assert movement_problem(record(batch_score_max_abs=BATCH_ROUNDING / 2)) is None


@pytest.mark.parametrize(
    ("metrics", "problem"), [({"batch_score_max_abs": 0.03}, "by up to 0.03"), ({}, "was not measured")]
)
def test_scores_that_move_with_the_batch_are_refused(metrics: dict[str, float], problem: str) -> None:
    """So are those of which it is not known."""
    found = movement_problem(record(**metrics))
    assert found is not None
    assert problem in found
