"""Shapes are computed before the first calls need them, where the backend compiles for each shape."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from artificer import load
from artificer.backends.openvino_session import OpenVinoSession
from artificer.inference.batching import full_batches, single_buckets
from artificer.inference.warming import LATENCY_SECONDS, warm_singles
from tests.mean_session import MeanSession


class CompilingSession(MeanSession):
    """It takes .1 s for each shape, by a clock that it moves itself."""

    compiles_per_shape = True

    def __init__(self) -> None:
        super().__init__()
        self.clock = 0.0

    def run(self, inputs: Any) -> Any:
        """The logits, a moment later."""
        self.clock += 0.1
        return super().run(inputs)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The shape of each batch that an OpenVINO session computes alone."""
    found: list[tuple[int, ...]] = []
    real = OpenVinoSession.run

    def run(session: OpenVinoSession, inputs: dict[str, Any]) -> Any:
        found.append(inputs["input_ids"].shape)
        return real(session, inputs)

    monkeypatch.setattr(OpenVinoSession, "run", run)
    return found


def test_warming_runs_every_width_of_single_requests(published: Path, seen: list[tuple[int, ...]]) -> None:
    """OpenVINO compiles per shape: afterwards its shapes are known."""
    with load(published, variant="openvino-qint8", max_length=64) as reranker:
        seen.clear()  # the self-test's
        reranker.warm()
        assert seen == [(1, width) for width in single_buckets(64)]


@pytest.mark.parametrize(
    ("options", "is_warm"),
    [
        ({}, False),
        ({"warm": True}, True),
        ({"objective": "latency"}, True),
        ({"objective": "latency", "warm": False}, False),
    ],
)
def test_a_load_for_latency_computes_single_texts_first(
    published: Path, seen: list[tuple[int, ...]], options: Any, is_warm: bool
) -> None:
    """Whoever asks for low latency wants it for the first request of a length as well."""
    load(published, variant="openvino-qint8", max_length=64, self_test=False, **options).close()
    assert seen == ([(1, width) for width in single_buckets(64)] if is_warm else [])


def test_a_load_for_latency_stops_warming_after_half_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """A large model must not take seconds longer to load; short texts come first."""
    session = CompilingSession()
    monkeypatch.setattr("artificer.inference.warming.time.perf_counter", lambda: session.clock)
    warm_singles(session, session.input_names, 512, seconds=LATENCY_SECONDS)
    assert [width for _, width in session.shapes] == single_buckets(512)[: len(session.shapes)]
    assert LATENCY_SECONDS <= session.clock <= LATENCY_SECONDS + 0.2


@pytest.mark.parametrize("threads", [1, 3])
def test_warming_hands_every_full_batch_to_the_streams_once_for_each(
    published: Path, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    """Each compiles for itself; without streams such batches are as dear as the calls that they would spare."""
    with load(published, variant="openvino-qint8", threads=threads, max_length=64) as reranker:
        asked_of_all: list[tuple[int, ...]] = []
        real = OpenVinoSession.run_many

        def run_many(session: OpenVinoSession, batches: Iterable[dict[str, Any]]) -> Any:
            asked = list(batches)
            asked_of_all.extend(batch["input_ids"].shape for batch in asked)
            return real(session, asked)

        monkeypatch.setattr(OpenVinoSession, "run_many", run_many)
        reranker.warm()
        assert asked_of_all == ([] if threads == 1 else [s for s in full_batches(64, 32) for _ in range(threads)])
