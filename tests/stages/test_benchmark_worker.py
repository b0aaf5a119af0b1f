"""A subject's process: what it does when."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stages.benchmarking import worker
from stages.benchmarking.worker import Opened, OpenSubject, serve
from tests.mean_session import MeanSession
from tests.stages.test_benchmark_rounds import SPEC, subject


class Recorder:
    """The other end of the connection: it sends messages, and notes what happens in turn."""

    def __init__(self, *messages: Any):
        self.messages, self.events = list(messages), list[str]()

    def recv(self) -> Any:
        """The next message."""
        return self.messages.pop(0)

    def send(self, answer: Any) -> None:
        """Note what was answered."""
        self.events.append(type(answer).__name__)


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """`serve` runs here, and leaves this process as it is."""
    monkeypatch.setattr("stages.benchmarking.worker.signal.signal", lambda *_: None)
    monkeypatch.setattr("stages.benchmarking.worker.environment.prepare", lambda **_: None)


def test_a_graph_is_warmed_as_a_load_for_latency_does_before_its_first_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first calls are of lengths that are new to the process. It warms once, not while others are opened."""
    connection = Recorder([[("a", "b")], [("a", "c")]], [[("a", "d")]], None)
    opened = OpenSubject(
        lambda _: connection.events.append("scored"), "f32", lambda: connection.events.append("warmed")
    )
    monkeypatch.setattr(worker, "_open", lambda *_: opened)
    serve(connection, subject("onnx", 1), SPEC, Path(), 1)  # type: ignore[arg-type]
    assert connection.events == [Opened.__name__, "warmed", "scored", "scored", "list", "scored", "list", "int"]


def test_a_graph_that_cannot_be_warmed_is_left_out_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason is the answer to the first calls."""
    connection, answers = Recorder([[("a", "b")]], None), list[Any]()

    def warm() -> None:
        raise RuntimeError("no kernel\nfor this shape")

    monkeypatch.setattr(connection, "send", answers.append)
    monkeypatch.setattr(worker, "_open", lambda *_: OpenSubject(lambda _: None, "f32", warm))
    serve(connection, subject("onnx", 1), SPEC, Path(), 1)  # type: ignore[arg-type]
    assert answers[1:] == ["RuntimeError: no kernel"]


def test_warming_a_graph_is_what_a_load_for_latency_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same function, for the session and the tokenizer that the calls are timed with."""
    session, tokenizer, warmed = MeanSession(), object(), list[Any]()
    monkeypatch.setattr("artificer.backends.open_with", lambda *_: session)
    monkeypatch.setattr("stages.records.open_tokenizer.open_tokenizer", lambda *_: tokenizer)
    monkeypatch.setattr("artificer.inference.warming.warm_for_latency", lambda *given: warmed.append(given))
    opened = worker._open(subject("onnx", 1), SimpleNamespace(task="text-ranking"), Path(), 1)  # type: ignore[arg-type]
    assert warmed == []
    opened.warm()
    assert warmed == [(session, tokenizer)]
