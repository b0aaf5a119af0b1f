"""Compiled OpenVINO models that outlive the process: used for the very same files, options and runtime, else not."""

import hashlib
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from artificer.backends import compiled
from artificer.backends.compiled import CompiledModels
from artificer.backends.lanes import files_of
from artificer.backends.openvino import OpenVinoSession
from artificer.errors import SelfTestError
from artificer.loading import load

VARIANT = "openvino-qint8"
PAIRS = [("how deep is the lake", "It is 1,642 metres deep."), ("how do plants eat", "Stockholm has 14 islands.")]
BATCH = {name: np.ones((1, 8), dtype=np.int64) for name in ("input_ids", "attention_mask", "token_type_ids")}


def scores(folder: Path, **options: Any) -> Any:
    """Of two pairs, after a load of its own, one call each: no batch wide enough for a second compiled model."""
    with load(folder, variant=VARIANT, threads=2, **options) as reranker:
        return np.array([reranker.predict(pair) for pair in PAIRS])


def kept(cache: Path) -> list[Path]:
    """The compiled models in a cache."""
    return sorted((cache / "compiled").glob("*"))


@pytest.fixture
def opened(published: Path, own_cache: Path) -> Callable[..., np.ndarray[Any, Any]]:
    """Open the graph with compiled models kept, and compute a batch."""
    graph = next(published.glob("openvino/*qint8*.xml"))

    def compute(sha256: dict[str, str] | None = None, *, threads: int = 2, precision: Any = "f32") -> Any:
        models = CompiledModels(own_cache / "compiled", hashes(graph) if sha256 is None else sha256, adds=True)
        session = OpenVinoSession(graph, threads=threads, execution_precision=precision, kept=models)
        try:
            return session.run(BATCH)
        finally:
            session.close()

    return compute


def hashes(graph: Path) -> dict[str, str]:
    """What a manifest says of a graph and its weights."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files_of(graph)}


def test_the_second_load_keeps_what_the_third_uses_with_the_same_scores(published: Path, own_cache: Path) -> None:
    """The first shows whether the cache outlives a process: containers whose cache is always new pay nothing."""
    first = scores(published)
    assert not kept(own_cache)
    second = scores(published)
    (model,) = kept(own_cache)
    before = model.read_bytes()
    third = scores(published)
    assert kept(own_cache) == [model]
    assert model.read_bytes() == before
    assert np.array_equal(first, second)
    assert np.array_equal(first, third)


def test_a_damaged_one_is_not_used_and_made_again(
    published: Path, own_cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One flipped bit, a cut, nothing at all: each is noticed."""
    expected = scores(published), scores(published)
    (model,) = kept(own_cache)
    good = model.read_bytes()
    flipped = bytearray(good)
    flipped[len(good) // 2] ^= 1
    for damaged in (bytes(flipped), good[:-1], b"", b"short"):
        model.write_bytes(damaged)
        with caplog.at_level(logging.WARNING):
            assert np.array_equal(scores(published), expected[0])
        assert model.read_bytes() != damaged
    assert "is damaged, and not used" in caplog.text


def test_other_files_threads_and_precisions_have_models_of_their_own(
    opened: Callable[..., Any], own_cache: Path
) -> None:
    """Nothing of what the compiled model depends on may differ."""
    opened()
    opened()
    assert len(kept(own_cache)) == 1
    opened(threads=1)
    assert len(kept(own_cache)) == 2
    opened(precision=None)
    assert len(kept(own_cache)) == 3


def test_files_that_changed_since_they_were_verified_are_not_kept(opened: Callable[..., Any], own_cache: Path) -> None:
    """Else another manifest's model would be found under these hashes."""
    opened({"openvino_model_qint8_quantized.xml": "0" * 64})
    assert not kept(own_cache)


def test_a_foreign_model_in_the_cache_fails_the_self_test(published: Path, own_cache: Path) -> None:
    """Even one that is whole: whoever can write the cache cannot change scores unnoticed."""
    scores(published)
    scores(published)
    (model,) = kept(own_cache)
    wrong = own_cache / "wrong"
    graph = wrong / "openvino_model.xml"
    wrong.mkdir()
    text = (published / "openvino/openvino_model.xml").read_text(encoding="utf-8")
    graph.write_text(text, encoding="utf-8")
    weights = bytearray((published / "openvino/openvino_model.bin").read_bytes())
    weights[-4096:] = np.full(1024, 0.5, np.float32).tobytes()
    graph.with_suffix(".bin").write_bytes(weights)
    elsewhere = CompiledModels(own_cache / "elsewhere", hashes(graph), adds=True)
    OpenVinoSession(graph, threads=2, execution_precision="f32", kept=elsewhere).close()
    (made,) = (own_cache / "elsewhere").iterdir()
    shutil.copyfile(made, model)
    with pytest.raises(SelfTestError):
        scores(published)


def test_a_full_verification_compiles_anew(published: Path, own_cache: Path) -> None:
    """It ignores what earlier processes left."""
    scores(published)
    scores(published, verify="full")
    assert not kept(own_cache)


def test_only_the_models_used_last_stay(
    opened: Callable[..., Any], own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service whose models change every day does not fill its disk."""
    monkeypatch.setattr(compiled, "MOST_MODELS", 1)
    opened()
    (first,) = kept(own_cache)
    opened(threads=1)
    (second,) = kept(own_cache)
    assert first != second


def test_a_large_model_is_not_kept(
    opened: Callable[..., Any], own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Writing it would hold it in memory twice."""
    monkeypatch.setattr(compiled, "MOST_BYTES", 1000)
    opened()
    assert not kept(own_cache)


def test_a_cache_that_cannot_be_written_only_costs_time(opened: Callable[..., Any], own_cache: Path) -> None:
    """A file where the folder should be stands for any such cache: root may write into read-only folders."""
    (own_cache / "compiled").write_text("")
    assert np.array_equal(opened(), opened())
