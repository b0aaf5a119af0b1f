import asyncio
import multiprocessing
import os
import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from artificer.backends.onnx_session import OnnxSession
from artificer.errors import ClosedError, DeadlineError, InputError, OverloadedError, ScoreError
from artificer.inference.loaded_model import TruncationWarning
from artificer.loading.loader import load
from artificer.tasks.text_ranking import Reranker

QUERY = "how deep is the deepest lake"
DOCUMENTS = [
    "Cats need little light.",
    "Lake Baikal reaches a depth of 1,642 metres.",
    "",
    "Paper is pulped. " * 60,
    "Lake Baikal reaches a depth of 1,642 metres.",
    "déjà vu, 水",
]
PAIRS = [(QUERY, text) for text in DOCUMENTS]


@pytest.fixture(scope="module")
def peer(published: Path) -> Any:
    """sentence-transformers' CrossEncoder on the published folder; it has no ONNX backend beside transformers 5."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sentence_transformers import CrossEncoder

        settings = {"file_name": "openvino/openvino_model.xml", "ov_config": {"INFERENCE_PRECISION_HINT": "f32"}}
        return CrossEncoder(str(published), backend="openvino", model_kwargs=settings, local_files_only=True)


def same(found: Any, expected: Any) -> None:
    """Equal type, dtype and shape, and values to 1e-5."""
    assert type(found) is type(expected)
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(
    "inputs",
    [
        PAIRS, [list(pair) for pair in PAIRS], PAIRS[0], list(PAIRS[0]), tuple(PAIRS), [], [PAIRS[1]],
        np.array(PAIRS), np.array(PAIRS[0]), np.array(PAIRS, dtype=object),
    ],
)  # fmt: skip
def test_predict_returns_what_crossencoder_returns(reranker: Reranker, peer: Any, inputs: Any) -> None:
    """Type, dtype, shape and scores, for every form of input that it takes."""
    same(reranker.predict(inputs), peer.predict(inputs, show_progress_bar=False))


@pytest.mark.parametrize("softmax", [False, True])
@pytest.mark.parametrize("name", [None, "Identity", "Sigmoid"])
def test_activations_are_those_of_crossencoder(reranker: Reranker, peer: Any, name: str | None, softmax: bool) -> None:
    """torch's modules are recognised without torch; softmax over one label is one, there as here."""
    import torch

    function = getattr(torch.nn, name)() if name else None
    found = reranker.predict(PAIRS, activation_fn=function, apply_softmax=softmax)
    same(found, peer.predict(PAIRS, activation_fn=function, apply_softmax=softmax))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"top_k": 2},
        {"top_k": 0},
        {"top_k": 99},
        {"return_documents": True},
        {"prompt": "query: "},
        {"batch_size": 2},
    ],
)
def test_rank_returns_what_crossencoder_returns(reranker: Reranker, peer: Any, options: dict[str, Any]) -> None:
    """Keys, order, types and scores; equal documents keep their order."""
    found = reranker.rank(QUERY, DOCUMENTS, **options)
    expected = peer.rank(QUERY, DOCUMENTS, show_progress_bar=False, **options)
    assert [set(row) for row in found] == [set(row) for row in expected]
    assert [row.get("text") for row in found] == [row.get("text") for row in expected]
    ours, theirs = [row["corpus_id"] for row in found], [row["corpus_id"] for row in expected]
    assert ours == theirs
    assert all(type(row["corpus_id"]) is int and type(row["score"]) is np.float32 for row in found)
    np.testing.assert_allclose([row["score"] for row in found], [row["score"] for row in expected], atol=1e-5)


words = st.lists(st.sampled_from(["lake", "deep", "the", "12", "ünder", "!"]), max_size=25).map(" ".join)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(pairs=st.lists(st.tuples(words, words), max_size=12), batch_size=st.integers(1, 8))
def test_scores_do_not_depend_on_company(reranker: Reranker, pairs: list[tuple[str, str]], batch_size: int) -> None:
    """In fp32 a pair's score is its own, whatever the batch, its size and its order."""
    together = reranker.predict(pairs, batch_size=batch_size)
    alone = [reranker.predict(pair) for pair in pairs]
    np.testing.assert_allclose(together, np.array(alone), atol=1e-5)


def test_ranking_is_by_logit_where_scores_saturate(reranker: Reranker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two scores of exactly 1.0 come from different logits: the larger one wins; equal ones keep their order."""
    logits = np.array([[20.0], [40.0], [20.0]], dtype=np.float32)
    monkeypatch.setattr("artificer.inference.loaded_model.score_encoded", lambda *_, **__: logits)
    found = reranker.rank("q", ["a", "b", "c"])
    assert [row["corpus_id"] for row in found] == [1, 0, 2]
    assert [float(row["score"]) for row in found] == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("inputs", "problem"),
    [
        (None, "found NoneType"),
        ("text", "found str"),
        ([("a", None)], "Pair 0, passage: expected a string, found NoneType None"),
        ([("a", "b"), ("c", 7)], "Pair 1, passage: expected a string, found int 7"),
        ([("a",)], "Pair 0: expected two texts"),
        ([("a", "b", "c")], "Pair 0: expected two texts"),
        ([("a", "b"), "cd"], "Pair 1: expected two texts"),
        ([("a", "\ud800")], "lone surrogate"),
        ([("a", b"b")], "found bytes"),
        ((pair for pair in PAIRS), "found generator"),
        (np.zeros((2, 2)), "array of float64"),
    ],
)
def test_what_cannot_be_scored_is_an_input_error(reranker: Reranker, inputs: Any, problem: str) -> None:
    """The error says which pair, what was expected and what stands there; it is a ValueError too."""
    with pytest.raises(InputError, match=problem) as caught:
        reranker.predict(inputs)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"convert_to_tensor": True}, "from_numpy"),
        ({"convert_to_numpy": False}, "from_numpy"),
        ({"device": "cuda"}, "was loaded on cpu"),
        ({"prompt_name": "query"}, "no named prompts"),
        ({"pool": {}}, "several processes"),
        ({"batch_size": 0}, "positive"),
        ({"activation_fn": "tanh"}, "expected one of"),
        ({"on_truncate": "maybe"}, "expected one of"),
    ],
)
def test_what_cannot_be_offered_says_so(reranker: Reranker, options: dict[str, Any], problem: str) -> None:
    """CrossEncoder's other arguments are known, and refused with what to do instead."""
    with pytest.raises(InputError, match=problem):
        reranker.predict(PAIRS, **options)
    if "prompt_name" not in options:
        with pytest.raises(InputError, match=problem):
            reranker.rank(QUERY, DOCUMENTS, **options)


def test_rank_wants_a_query_and_a_list_of_texts(reranker: Reranker) -> None:
    """Typed errors that name the document."""
    with pytest.raises(InputError, match="Query: expected a string"):
        reranker.rank(None, ["a"])  # type: ignore[arg-type]
    with pytest.raises(InputError, match="Document 1: expected a string"):
        reranker.rank("q", ["a", 3])  # type: ignore[list-item]
    with pytest.raises(InputError, match="found a single one"):
        reranker.rank("q", "abc")
    assert reranker.rank("q", []) == []


def test_truncation_is_reported_as_asked(reranker: Reranker) -> None:
    """Silent, a warning, or an error that counts the pairs and names the first."""
    long = ("a", "b " * 600)
    assert reranker.truncated([PAIRS[0], long]).tolist() == [False, True]
    reranker.predict(long)
    with pytest.warns(TruncationWarning, match="1 of 2 pairs are longer than 512 tokens, the first is pair 1"):
        reranker.predict([PAIRS[0], long], on_truncate="warn")
    with pytest.raises(InputError, match="1 of 1 pairs"):
        reranker.predict(long, on_truncate="error")


def test_nan_is_refused(reranker: Reranker, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong score is worse than none."""

    def nan(_: OnnxSession, inputs: Any) -> Any:
        return np.full((len(inputs["input_ids"]), 1), np.nan, dtype=np.float32)

    monkeypatch.setattr(OnnxSession, "run", nan)
    with pytest.raises(ScoreError, match="NaN"):
        reranker.predict(PAIRS)


def test_a_deadline_and_a_cancellation_stop_between_batches(reranker: Reranker) -> None:
    """A passed timeout scores nothing; a cancellation after the first batch stops before the next ones end."""
    with pytest.raises(DeadlineError):
        reranker.predict(PAIRS, timeout=0)
    asked: list[int] = []

    def cancelled() -> bool:
        asked.append(1)
        return len(asked) > 2

    with pytest.raises(DeadlineError, match="Cancelled"):
        reranker.predict(PAIRS * 20, batch_size=1, cancelled=cancelled)
    assert len(asked) == 3
    assert isinstance(DeadlineError("x"), TimeoutError)


def test_threads_share_a_reranker(reranker: Reranker) -> None:
    """Eight threads score different pairs at the same time: each gets its own scores."""
    expected = [reranker.predict(pair) for pair in PAIRS]
    wrong: list[Any] = []

    def work(offset: int) -> None:
        for i in range(12):
            at = (offset + i) % len(PAIRS)
            chosen = [PAIRS[at], PAIRS[at - 1]]
            found = reranker.predict(chosen, batch_size=1 + i % 2)
            if not np.allclose(found, [expected[at], expected[at - 1]], atol=1e-5):
                wrong.append((offset, i))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not wrong


async def test_asyncio_calls_return_what_the_plain_ones_do(reranker: Reranker) -> None:
    """apredict and arank, side by side."""
    scores, ranking = await asyncio.gather(reranker.apredict(PAIRS), reranker.arank(QUERY, DOCUMENTS, top_k=2))
    same(scores, reranker.predict(PAIRS))
    assert [row["corpus_id"] for row in ranking] == [
        row["corpus_id"] for row in reranker.rank(QUERY, DOCUMENTS, top_k=2)
    ]


async def test_the_queue_is_bounded_and_a_cancelled_task_leaves_it(published: Path) -> None:
    """One call too many is refused at once; a cancelled one stops working and makes room."""
    with load(published, variant="onnx-O4", max_pending=3) as small:
        tasks = [asyncio.create_task(small.apredict(PAIRS * 30, batch_size=1)) for _ in range(3)]
        await asyncio.sleep(0.05)
        with pytest.raises(OverloadedError, match="3 calls are waiting"):
            await small.apredict(PAIRS)
        for task in tasks:
            task.cancel()
        assert all(
            isinstance(each, asyncio.CancelledError) for each in await asyncio.gather(*tasks, return_exceptions=True)
        )
        for _ in range(200):
            try:
                found = await asyncio.gather(*(small.apredict(PAIRS[1]) for _ in range(3)))
                break
            except OverloadedError:
                await asyncio.sleep(0.02)
        for each in found:
            same(each, small.predict(PAIRS[1]))


async def test_a_timeout_counts_the_time_in_the_queue(reranker: Reranker) -> None:
    """A call that waited too long fails without being scored."""
    with pytest.raises(DeadlineError):
        await reranker.apredict(PAIRS, timeout=0.0)


async def test_a_closed_reranker_refuses(published: Path) -> None:
    """Every call, synchronous or not; closing twice is fine."""
    loaded = load(published, variant="onnx-O4")
    loaded.close()
    loaded.close()
    with pytest.raises(ClosedError, match="was closed"):
        loaded.predict(PAIRS)
    with pytest.raises(ClosedError, match="was closed"):
        await loaded.arank(QUERY, DOCUMENTS)


def _in_child(loaded: Reranker, queue: Any) -> None:
    try:
        loaded.predict(PAIRS[0])
    except ClosedError as error:
        queue.put(str(error))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_is_refused_instead_of_hanging(reranker: Reranker) -> None:
    """The runtime's threads did not come along: the error says what to do."""
    context: Any = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = context.Process(target=_in_child, args=(reranker, queue))
        child.start()
    child.join(30)
    assert "do not survive a fork" in queue.get()
