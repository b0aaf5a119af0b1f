"""Shapes are computed before the first calls need them, where the backend compiles for each shape."""

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from artificer import load
from artificer.backends.openvino_session import OpenVinoSession
from artificer.cli import main
from artificer.inference.batching import full_batches, single_buckets
from artificer.inference.tokenization import TextTokenizer
from artificer.inference.warming import warm_for_latency
from artificer.manifest import Manifest
from tests.mean_session import MeanSession


class CompilingSession(MeanSession):
    """It takes .1 s for each shape, by a clock that it moves itself."""

    def __init__(self, *, compiles: bool = True) -> None:
        super().__init__()
        self.compiles_per_shape = compiles
        self.clock = 0.0

    def run(self, inputs: Any) -> Any:
        """The logits, a moment later."""
        self.clock += 0.1
        return super().run(inputs)


@pytest.fixture
def tokenizer(published: Path, manifest: Manifest) -> TextTokenizer:
    """The package's own."""
    own = manifest.tokenizer
    return TextTokenizer.from_file(published / own.file, own, max_length=512, inputs=manifest.inputs)


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
    published: Path, seen: list[tuple[int, ...]], monkeypatch: pytest.MonkeyPatch, options: Any, is_warm: bool
) -> None:
    """Whoever asks for low latency wants it for the first request of a length as well."""
    monkeypatch.setattr("artificer.inference.warming.LATENCY_SECONDS", float("inf"))  # the machine may be busy
    load(published, variant="openvino-qint8", max_length=64, self_test=False, **options).close()
    assert seen == ([(1, width) for width in single_buckets(64)] if is_warm else [])


def test_a_command_compiles_nothing_ahead(published: Path, manifest: Manifest, seen: list[tuple[int, ...]]) -> None:
    """It ends after one call, or none: only the golden samples were computed, for the self-test."""
    assert main(["explain", str(published), "--variant", "openvino-qint8", "--objective", "latency"]) == 0
    assert sum(rows for rows, _ in seen) == len(manifest.golden)


def test_a_load_for_latency_begins_no_shape_after_half_a_second(
    monkeypatch: pytest.MonkeyPatch, tokenizer: TextTokenizer
) -> None:
    """A large model must not take seconds longer to load; short texts come first."""
    session = CompilingSession()
    monkeypatch.setattr("artificer.inference.warming.time.perf_counter", lambda: session.clock)
    warm_for_latency(session, tokenizer)
    assert [width for _, width in session.shapes] == single_buckets(512)[: len(session.shapes)]
    assert 0.5 < session.clock < 0.7


@pytest.mark.parametrize(("compiles", "is_padded"), [(False, True), (True, False)])
def test_nothing_is_computed_ahead_where_it_would_not_come_again(
    tokenizer: TextTokenizer, compiles: bool, is_padded: bool
) -> None:
    """Without compiling for each shape, or without padding to known ones, there is nothing to gain."""
    tokenizer.info = msgspec.structs.replace(tokenizer.info, padded=is_padded)
    session = CompilingSession(compiles=compiles)
    warm_for_latency(session, tokenizer)
    assert session.shapes == []


def test_a_shape_that_cannot_be_computed_ahead_is_logged_and_the_model_loads(
    published: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody asked for it by name. `warm=True` reports the error."""

    def broken(*_: Any) -> Any:
        raise RuntimeError("no kernel")

    monkeypatch.setattr("artificer.inference.warming._singles", broken)
    with caplog.at_level(logging.WARNING, "artificer"):
        load(published, variant="openvino-qint8", objective="latency").close()
    assert "fixture: a shape cannot be computed ahead: no kernel" in caplog.messages
    with pytest.raises(RuntimeError, match="no kernel"):
        load(published, variant="openvino-qint8", warm=True)


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
