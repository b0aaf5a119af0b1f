import logging
import threading
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from artificer.backends import open_session
from artificer.backends.openvino import OpenVinoBackend
from artificer.backends.openvino_session import _Request, open_openvino
from artificer.backends.session import Inputs, OpenGraph, Output, Session, SessionOptions
from artificer.errors import ClosedError, SelfTestError
from artificer.inference.tokenization import TextTokenizer
from artificer.loading.loader import load


def test_a_session_is_not_opened_with_settings_that_the_backend_does_not_list(published: Path) -> None:
    """Whatever a manifest or a caller says."""
    with pytest.raises(ValueError, match="openvino has no settings CACHE_DIR=/tmp in this release"):
        open_session("openvino", published / "openvino/openvino_model.xml", threads=1, settings={"CACHE_DIR": "/tmp"})


def test_a_session_in_another_precision_than_was_asked_for_is_closed(
    published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A runtime takes the precision as a hint. The message names both."""
    opened: list[Session] = []

    def as_it_likes(graph: Path, options: SessionOptions) -> Session:
        session = open_openvino(graph, replace(options, execution_precision="f32"))
        opened.append(session)
        return session

    monkeypatch.setattr(OpenVinoBackend, "graph_opener", lambda _: as_it_likes)
    with pytest.raises(SelfTestError, match="should compute in bf16, but this machine computes in f32"):
        open_session("openvino", published / "openvino/openvino_model.xml", threads=1, execution_precision="bf16")
    with pytest.raises(ClosedError):
        opened[0].run({})


def test_streams_that_do_not_agree_are_not_used(
    published: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Batches are computed one after the other then, by the session that passed the self-test."""
    real, asked = _Request.infer, []

    def wrong_for_the_second(self: _Request, inputs: Inputs) -> Output:
        asked.append(self)
        return real(self, inputs) + (len(asked) == 2)

    monkeypatch.setattr(_Request, "infer", wrong_for_the_second)
    session = open_session("openvino", published / "openvino/openvino_model.xml", threads=2)
    with caplog.at_level(logging.WARNING, "artificer"):
        assert session.parallelism() == 1
    assert "two streams computed different outputs for one text" in caplog.text
    session.close()
    asked.clear()
    monkeypatch.setattr(_Request, "infer", real)
    session = open_session("openvino", published / "openvino/openvino_model.xml", threads=2)
    assert session.parallelism() == 2
    session.close()


def test_the_runtime_is_imported_before_the_tokenizer_is_read_beside_opening(
    published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside each other, both would wait for Python's lock, and the graph would be opened later."""
    events: list[str] = []
    real_opener, real_tokenizer = OpenVinoBackend.graph_opener, TextTokenizer.from_file

    def opener(backend: OpenVinoBackend) -> OpenGraph:
        events.append(f"imported in {threading.current_thread().name}")
        return real_opener(backend)

    def tokenizer(*given: Any, **named: Any) -> TextTokenizer:
        events.append("tokenizer")
        return real_tokenizer(*given, **named)

    monkeypatch.setattr(OpenVinoBackend, "graph_opener", opener)
    monkeypatch.setattr(TextTokenizer, "from_file", tokenizer)
    load(published, variant="openvino").close()
    assert events[0] == f"imported in {threading.current_thread().name}"
    assert sorted(events[1:]) == ["imported in artificer-open", "tokenizer"]
