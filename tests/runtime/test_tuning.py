"""What was measured of batches on a host of this class is what a service runs with."""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from artificer.inference.batching import DEFAULT_TOKENS
from artificer.inference.scoring import score_encoded
from artificer.inference.tokenization import TextTokenizer
from artificer.loading.loader import load
from artificer.manifest import MANIFEST_FILE, Manifest, Tuning
from artificer.selection.speeds import Measured
from tests.mean_session import MeanSession
from tests.runtime.conftest import Copy, rewrite

replace = msgspec.structs.replace


def measured(tuning: Tuning | None, threads: int) -> Measured:
    """Figures of a host with that many threads."""
    return Measured("there", 1.0, 1.0, 1, tuning, threads)


@pytest.mark.parametrize(
    ("streams", "there", "here", "expected"), [(2, 2, 2, 2), (2, 2, 8, 8), (4, 8, 2, 1), (1, 2, 8, 1), (8, 8, 2, 2)]
)
def test_streams_are_tuned_by_the_share_of_the_threads(streams: int, there: int, here: int, expected: int) -> None:
    """One for each thread there is one for each thread here; a single one stays single."""
    found = measured(Tuning(streams=streams, max_tokens=1024), there).tuning_for(here)
    assert found == Tuning(streams=expected, max_tokens=1024)
    assert measured(None, there).tuning_for(here) is None


def tuned(folder: Path, tuning: Tuning | None) -> None:
    """Write it into the figures of every subject."""
    found = Manifest.from_json((folder / MANIFEST_FILE).read_bytes())
    benchmarks = tuple(
        replace(each, threads=2, subjects=tuple(replace(subject, tuning=tuning) for subject in each.subjects))
        for each in found.benchmarks
    )
    rewrite(folder, benchmarks=benchmarks)


def test_a_service_runs_with_the_tuning_of_its_host_and_says_so(copied: Copy) -> None:
    """What the manifest has is what the session got."""
    folder = copied("onnx")
    tuned(folder, Tuning(streams=2, max_tokens=1024, split_from=10))
    with load(folder, threads=2) as reranker:
        assert reranker._session.tuning == Tuning(streams=2, max_tokens=1024, split_from=10)
        assert reranker._session.parallelism() == 2
        assert "2 streams, at most 1024 tokens a batch, split from 10 inputs" in str(reranker.explain())
    tuned(folder, Tuning(streams=1, max_tokens=256))
    with load(folder, threads=2) as reranker:
        assert reranker._session.parallelism() == 1


def test_without_figures_the_defaults_hold_and_a_memory_ceiling_leaves_no_room_for_a_copy(copied: Copy) -> None:
    """Nothing says what the copy of the graph would take."""
    folder = copied("onnx")
    tuned(folder, None)
    with load(folder, threads=2) as reranker:
        assert reranker._session.tuning == Tuning()
        assert "defaults" in str(reranker.explain())
    with load(folder, threads=2, memory_ceiling_bytes=1 << 40) as reranker:
        assert reranker._session.parallelism() == 1


class Streams(MeanSession):
    """A session with streams that notes what was computed in them."""

    def __init__(self, tuning: Tuning):
        super().__init__()
        self.tuning = tuning
        self.many: list[tuple[int, int]] = []

    def parallelism(self) -> int:
        """Two batches."""
        return 2

    def run_many(self, batches: Any) -> Any:
        """Their outputs."""
        for batch in batches:
            self.many.append(batch["input_ids"].shape)
            yield self.run(batch)


@pytest.fixture
def tokenizer(published: Path, manifest: Manifest) -> TextTokenizer:
    """The fixture's tokenizer."""
    return TextTokenizer.from_file(
        published / manifest.tokenizer.file, manifest.tokenizer, max_length=256, inputs=MeanSession.input_names
    )


def test_a_call_of_that_size_is_split_over_the_streams_and_a_smaller_one_is_not(tokenizer: TextTokenizer) -> None:
    """Each stream has a batch, and the scores are the same."""
    session = Streams(Tuning(split_from=10))
    few, more = (tokenizer.encode([("a query", "word " * 20)] * count) for count in (9, 10))
    score_encoded(session, tokenizer, few)
    assert not session.many
    found = score_encoded(session, tokenizer, more)
    assert [rows for rows, _ in session.many] == [5, 5]
    np.testing.assert_array_equal(found, score_encoded(MeanSession(), tokenizer, more))


@pytest.mark.parametrize(("tuning", "tokens"), [(Tuning(), DEFAULT_TOKENS), (Tuning(max_tokens=2048), 2048)])
def test_a_batch_has_as_many_tokens_as_were_tuned(tokenizer: TextTokenizer, tuning: Tuning, tokens: int) -> None:
    """Else the default."""
    session = Streams(tuning)
    score_encoded(session, tokenizer, tokenizer.encode([("a query", "word " * 120)] * 60))
    largest = max(rows * width for rows, width in session.shapes)
    assert tokens / 2 < largest <= tokens
