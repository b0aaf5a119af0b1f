"""Tuning: by sessions whose time is a clock that they move themselves."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit

from artificer.backends.onnx import OnnxBackend
from artificer.backends.session import Inputs, Output
from artificer.inference.tokenization import TextTokenizer
from artificer.manifest import ClassifierHead, TokenizerInfo, Tuning
from artificer.tasks.task import TASKS
from stages.benchmarking import tuned_subjects, tuning
from stages.benchmarking.subjects import TimedSubject
from stages.benchmarking.tuning import Trial, Tuned, stream_counts
from stages.records.parity_records import VariantParity
from tests.mean_session import Fault, MeanSession

TEXTS = [(f"query {i}", "word " * 38) for i in range(30)]
HEAD = ClassifierHead(labels=("relevance",), activation="sigmoid")


class Clock:
    """Seconds, as sessions spend them."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        """Of `time`."""
        return self.now


class TimedSession(MeanSession):
    """Takes seconds for each batch, and for each token by the batch's size; a share of both in streams."""

    def __init__(
        self, clock: Clock, *, batch: float = 0.0, slow_above: int = 10**9, streams: int = 1, share: float = 1.0,
        fault: Fault = lambda _, logits: logits,
    ):  # fmt: skip
        super().__init__(fault)
        self.clock, self.batch, self.slow_above = clock, batch, slow_above
        self.streams, self.share = streams, share

    def parallelism(self) -> int:
        """Streams."""
        return self.streams

    def run(self, inputs: Inputs) -> Output:
        """The logits, after a while."""
        self.clock.now += self._seconds(inputs)
        return super().run(inputs)

    def run_many(self, batches: Iterable[Inputs]) -> Iterator[Output]:
        """Side by side."""
        for inputs in batches:
            self.clock.now += self._seconds(inputs) * self.share
            yield super().run(inputs)

    def _seconds(self, inputs: Inputs) -> float:
        size = inputs["input_ids"].size
        return self.batch + size * 1e-3 * (3 if size > self.slow_above else 1)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """In place of the machine's."""
    found = Clock()
    monkeypatch.setattr(tuning, "time", found)
    return found


@pytest.fixture(scope="module")
def tokenizer() -> TextTokenizer:
    """A token for each word."""
    words = ["[PAD]", "[UNK]", "query", "word", *map(str, range(100))]
    made = Tokenizer(WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    made.pre_tokenizer = WhitespaceSplit()
    info = TokenizerInfo(
        file="tokenizer.json", pad_token="[PAD]", pad_token_id=0, pad_token_type_id=0, padding_side="right"
    )
    return TextTokenizer(made, info, max_length=512, inputs=MeanSession.input_names)


def best(tokenizer: TextTokenizer, one: TimedSession, two: TimedSession | None = None, movement: float = 1e-3) -> Tuned:
    """What is found of a session alone, and one with two streams."""
    sessions = {1: one} if two is None else {1: one, 2: two}
    return Trial(dict(sessions), tokenizer, TASKS["text-ranking"], HEAD, TEXTS, 1e6).best(movement)


def test_batches_grow_as_long_as_that_is_faster(tokenizer: TextTokenizer, clock: Clock) -> None:
    """Each batch costs something of its own; above 1,024 tokens each token costs more."""
    found = best(tokenizer, TimedSession(clock, batch=0.5, slow_above=1024))
    assert found.tuning == Tuning(streams=1, max_tokens=1024)
    assert found.speed_ratio > 1.2


def test_batches_shrink_where_that_is_faster(tokenizer: TextTokenizer, clock: Clock) -> None:
    """The caches are small."""
    assert best(tokenizer, TimedSession(clock, slow_above=256)).tuning == Tuning(streams=1, max_tokens=256)


def test_what_slows_a_small_call_is_not_chosen(tokenizer: TextTokenizer, clock: Clock) -> None:
    """Smaller batches are faster for many pairs; eight fit into one batch of the default and then into two."""

    class BestWithSix(TimedSession):
        def _seconds(self, inputs: Inputs) -> float:
            rows = len(inputs["input_ids"])
            return 0.2 if rows == 8 else 0.3 if rows <= 6 else 0.1 * rows

    found = best(tokenizer, BestWithSix(clock))
    assert found == Tuned(tuning=Tuning(streams=1, max_tokens=512), speed_ratio=1.0)


def test_where_nothing_is_gained_the_default_stays(tokenizer: TextTokenizer, clock: Clock) -> None:
    """A difference of a percent may be noise."""
    found = best(tokenizer, TimedSession(clock, batch=0.002))
    assert found == Tuned(tuning=Tuning(streams=1, max_tokens=512), speed_ratio=1.0)


@pytest.mark.parametrize(("share", "streams"), [(0.8, 2), (1.25, 1)])
def test_streams_are_used_where_they_are_faster(
    tokenizer: TextTokenizer, clock: Clock, share: float, streams: int
) -> None:
    """Two, or one that is all threads."""
    found = best(tokenizer, TimedSession(clock), TimedSession(clock, streams=2, share=share))
    assert found.tuning.streams == streams


@pytest.mark.parametrize(("batch", "share", "split_from"), [(0.0, 0.7, 10), (0.3, 0.7, 30), (10.0, 0.99, None)])
def test_calls_are_split_from_the_size_on_where_it_pays(
    tokenizer: TextTokenizer, clock: Clock, batch: float, share: float, split_from: int | None
) -> None:
    """What another batch costs decides."""
    streams = TimedSession(clock, batch=batch, streams=2, share=share)
    assert best(tokenizer, TimedSession(clock, batch=2 * batch), streams).tuning.split_from == split_from


def test_what_moves_scores_further_than_was_proven_is_not_chosen(tokenizer: TextTokenizer, clock: Clock) -> None:
    """However fast it is."""

    def moved(_: int, logits: Output) -> Output:
        return logits + np.float32(0.1 * (len(logits) > 15))

    def session() -> TimedSession:
        return TimedSession(clock, batch=5.0, fault=moved)

    assert best(tokenizer, session()).tuning.max_tokens == 512
    assert (best(tokenizer, session(), movement=1.0).tuning.max_tokens or 0) > 512


def subject(tmp_path: Path, name: str = "onnx", **changes: object) -> TimedSubject:
    """A graph of a kilobyte."""
    graph = tmp_path / "model.onnx"
    graph.write_bytes(bytes(1000))
    given = {"runtime": "onnx", "execution_precision": "f32", **changes}
    return TimedSubject(id=name, digest=None, path=graph, inputs=(), size_bytes=1000, **given)  # type: ignore[arg-type]


def test_a_stream_has_one_thread_unless_the_backend_divides_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And there is one where memory or the device leaves no room for another."""
    monkeypatch.setattr(OnnxBackend, "sidecars", lambda *_: {})
    monkeypatch.setattr("stages.benchmarking.tuning.files_of", lambda path, _: (path,))
    assert stream_counts(subject(tmp_path), 8) == [1, 8]
    assert stream_counts(subject(tmp_path, runtime="openvino"), 8) == [1, 2, 4, 8]
    assert stream_counts(subject(tmp_path, runtime="openvino"), 6) == [1, 2, 4, 6]
    assert stream_counts(subject(tmp_path, runtime="openvino"), 1) == [1]
    assert stream_counts(subject(tmp_path, runtime="openvino", device="cuda"), 8) == [1]
    monkeypatch.setattr("stages.benchmarking.tuning.available_memory", lambda: 7000.0)
    assert stream_counts(subject(tmp_path, runtime="openvino"), 8) == [1]


def test_aliases_share_a_tuning_and_what_cannot_be_tuned_is_timed_with_the_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Torch has none."""
    wide = Tuning(streams=2, max_tokens=1024)

    def tune(each: TimedSubject, *_: object) -> Tuned:
        if each.id == "broken":
            raise RuntimeError("no such operator")
        return Tuned(tuning=wide, speed_ratio=1.1)

    monkeypatch.setattr(tuned_subjects, "tune", tune)
    monkeypatch.setattr(tuned_subjects, "load_parity", lambda _: dict[str, VariantParity]())
    given = [
        subject(tmp_path, "torch-fp32", runtime=None),
        subject(tmp_path, "onnx"),
        subject(tmp_path, "onnx-same", alias_of="onnx"),
        subject(tmp_path, "broken"),
    ]
    spec = SimpleNamespace(slug="slug")
    found = tuned_subjects.with_tuning(given, spec, 2, {"short": TEXTS}, 1.0)  # type: ignore[arg-type]
    assert [each.tuning for each in found] == [None, wide, wide, None]
    assert "broken                   cannot be tuned: RuntimeError: no such operator" in capsys.readouterr().out
    found = tuned_subjects.with_tuning(given, spec, 2, {"short": TEXTS}, 0.0)  # type: ignore[arg-type]
    assert not any(each.tuning for each in found)
