"""Batches side by side: the same scores as one after the other, in order, and nothing after an end."""

import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from artificer.backends import open_session
from artificer.backends.session import Inputs
from artificer.backends.stream_pool import Run, StreamPool, files_of, fits, stream_count
from artificer.errors import ClosedError
from artificer.inference.scoring import MANY_BATCHES, score_encoded
from artificer.inference.tokenization import TextTokenizer
from artificer.manifest import Manifest, Tuning


def started(folder: Path, opener: Callable[[], Run]) -> StreamPool:
    """Two streams that are open."""
    streams = StreamPool.over((folder / "model.onnx",), 2, opener)
    assert streams is not None
    assert streams.start()
    return streams


PAIRS = [(f"how deep is lake {i}?", f"Lake number {i} is {i * 7} metres deep. " * (1 + i % 5)) for i in range(60)]


def numbered(value: int) -> dict[str, NDArray[np.int64]]:
    """A batch that says its number."""
    return {"input_ids": np.array([[value]])}


def test_results_come_in_the_order_of_the_batches(tmp_path: Path) -> None:
    """Results come in the order of the batches, whichever is done first."""
    release = threading.Event()

    def run(batch: Inputs) -> NDArray[np.float32]:
        value = int(batch["input_ids"][0, 0])
        if value == 0:
            assert release.wait(10)  # the first batch ends after the second
        else:
            release.set()
        return np.array([[value]], dtype=np.float32)

    streams = started(tmp_path, lambda: run)
    assert [float(rows[0, 0]) for rows in streams.map(map(numbered, range(20)))] == list(range(20))
    streams.close()


def test_a_caller_that_stops_early_leaves_nothing_running(tmp_path: Path) -> None:
    """When the caller stops early, batches not begun are not computed."""
    begun: list[int] = []

    def run(batch: Inputs) -> NDArray[np.float32]:
        begun.append(int(batch["input_ids"][0, 0]))
        return np.zeros((1, 1), dtype=np.float32)

    def batches() -> Iterator[Inputs]:
        yield from map(numbered, range(1000))

    streams = started(tmp_path, lambda: run)
    results = streams.map(batches())
    next(results)
    results.close()  # type: ignore[attr-defined]
    streams.close()
    assert len(begun) < 10


def test_lanes_open_the_graph_once_and_only_when_they_are_needed(tmp_path: Path) -> None:
    """The graph is opened for streams once, and only when they are needed."""
    opened: list[int] = []

    def opener() -> object:
        opened.append(1)
        return lambda _: np.zeros((1, 1), dtype=np.float32)

    streams = StreamPool.over((tmp_path / "model.onnx",), 2, opener)  # type: ignore[arg-type]
    assert streams is not None
    assert not opened
    for _ in range(3):
        assert streams.start()
        list(streams.map(map(numbered, range(4))))
    streams.close()
    assert opened == [1]


def test_closed_lanes_refuse(tmp_path: Path) -> None:
    """Closed streams refuse."""
    streams = started(tmp_path, lambda: lambda _: np.zeros((1, 1), dtype=np.float32))
    streams.close()
    with pytest.raises(ClosedError):
        streams.run(numbered(1))
    with pytest.raises(ClosedError):
        streams.start()


def test_a_graph_that_was_replaced_since_it_was_verified_is_not_opened_again(tmp_path: Path, published: Path) -> None:
    """A folder that is published again under a running service: its calls go on with what was verified."""
    graph = tmp_path / "model.onnx"
    shutil.copy(published / "onnx/model.onnx", graph)
    session = open_session("onnx", graph, threads=2)
    batch = {name: np.ones((1, 8), dtype=np.int64) for name in session.input_names}
    expected = session.run(batch)
    other = tmp_path / "other"
    other.write_bytes(b"not what was verified")
    other.replace(graph)
    for found in session.run_many([batch] * 3):
        np.testing.assert_array_equal(found, expected)
    session.close()


def test_a_second_opening_that_fails_leaves_the_session_to_itself(tmp_path: Path) -> None:
    """Not enough memory for a second copy is no reason to fail a request; it is not tried again."""
    tries: list[int] = []

    def opener() -> Run:
        tries.append(1)
        raise MemoryError("no room")

    streams = StreamPool.over((tmp_path / "model.onnx",), 2, opener)
    assert streams is not None
    assert not streams.start()
    assert not streams.start()
    assert tries == [1]


@pytest.mark.parametrize(
    ("threads", "tuning", "count"),
    [
        (1, Tuning(), 1),
        (4, Tuning(), 4),
        (4, Tuning(streams=1), 1),
        (4, Tuning(streams=2), 2),
        (2, Tuning(streams=8), 2),
    ],
)
def test_there_are_as_many_streams_as_were_tuned_else_one_for_each_thread(
    tmp_path: Path, threads: int, tuning: Tuning, count: int
) -> None:
    """Never more than threads; one stream is the session itself."""
    assert stream_count(threads, tuning) == count
    pool = StreamPool.over(
        (tmp_path / "model.onnx",), stream_count(threads, tuning), lambda: lambda _: np.zeros((1, 1), dtype=np.float32)
    )
    assert (pool is None) == (count == 1)


@pytest.mark.parametrize(("graph", "sidecar", "expected"), [(100, 0, True), (126, 0, False), (60, 66, False)])
@pytest.mark.parametrize(("name", "beside"), [("model.onnx", "model.onnx_data"), ("model.xml", "model.bin")])
def test_a_graph_of_any_size_has_streams_where_memory_has_room_for_its_copy(
    tmp_path: Path, graph: int, sidecar: int, expected: bool, name: str, beside: str
) -> None:
    """Twice the files, weights beside it counted, in a quarter of what is available."""
    for file, size in ((name, graph), (beside, sidecar)):
        (tmp_path / file).write_bytes(bytes(size))
    assert fits(files_of(tmp_path / name, [beside]), available=1000.0) is expected


def test_without_room_for_a_copy_the_session_computes_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The graph is not opened again, and no request fails."""
    (tmp_path / "model.onnx").write_bytes(bytes(1000))
    monkeypatch.setattr("artificer.backends.stream_pool.available_memory", lambda: 4000.0)
    streams = StreamPool.over((tmp_path / "model.onnx",), 2, lambda: pytest.fail("opened"))
    assert streams is not None
    assert not streams.start()


@pytest.mark.parametrize("variant", ["onnx", "openvino"])
def test_a_real_graph_gives_the_same_logits_in_lanes(published: Path, manifest: Manifest, variant: str) -> None:
    """A real graph gives the same logits in streams as one batch after the other."""
    found = manifest.variant(variant)
    assert found.graph is not None
    tokenizer = TextTokenizer.from_file(
        published / manifest.tokenizer.file, manifest.tokenizer, max_length=256, inputs=manifest.inputs
    )
    encoded = tokenizer.encode(PAIRS)
    logits = []
    for threads in (1, 2):
        session = open_session(found.runtime, published / found.graph, threads=threads)
        logits.append(score_encoded(session, tokenizer, encoded, batch_size=60 // MANY_BATCHES))
        session.close()
        with pytest.raises(ClosedError):
            session.run(tokenizer.batch(encoded, [0]))
    np.testing.assert_allclose(logits[0], logits[1], atol=2e-5)


def test_a_batch_that_finds_another_running_is_computed_beside_it(published: Path, manifest: Manifest) -> None:
    """A batch that finds another one running is computed beside it, with the same logits."""
    found = manifest.variant("onnx")
    assert found.graph is not None
    session = open_session("onnx", published / found.graph, threads=2)
    tokenizer = TextTokenizer.from_file(
        published / manifest.tokenizer.file, manifest.tokenizer, max_length=256, inputs=manifest.inputs
    )
    encoded = tokenizer.encode(PAIRS[:1])
    alone = session.run(tokenizer.batch(encoded, [0]))
    with session._turn:  # type: ignore[attr-defined]
        beside = session.run(tokenizer.batch(encoded, [0]))
    np.testing.assert_allclose(beside, alone, atol=2e-5)
    session.close()
