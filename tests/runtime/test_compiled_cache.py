"""Compiled OpenVINO models that outlive the process: used for the very same files, options and runtime, else not."""

import hashlib
import logging
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from artificer.backends import compiled_cache, open_session
from artificer.backends.compiled_cache import CompiledModelCache
from artificer.backends.stream_pool import files_of
from artificer.loading.loader import load

VARIANT = "openvino-qint8"
PAIRS = [("how deep is the lake", "It is 1,642 metres deep."), ("how do plants eat", "Stockholm has 14 islands.")]
BATCH = {name: np.ones((1, 8), dtype=np.int64) for name in ("input_ids", "attention_mask", "token_type_ids")}


def scores(folder: Path, **options: Any) -> Any:
    """Of two pairs, after a load of its own, one call each: no batch wide enough for a second compiled model."""
    with load(folder, variant=VARIANT, threads=2, **options) as reranker:
        return np.array([reranker.predict(pair) for pair in PAIRS])


def kept(cache: Path) -> list[Path]:
    """The compiled models in a cache, and whatever else is beside them."""
    return kept_models(cache / "compiled")


def kept_models(folder: Path) -> list[Path]:
    """All files of a folder."""
    return sorted(folder.glob("*"))


@pytest.fixture
def opened(published: Path, own_cache: Path) -> Callable[..., np.ndarray[Any, Any]]:
    """Open the graph with compiled models kept, and compute a batch."""
    graph = next(published.glob("openvino/*qint8*.xml"))

    def compute(sha256: dict[str, str] | None = None, *, threads: int = 2, precision: Any = "f32") -> Any:
        models = CompiledModelCache(own_cache / "compiled", hashes(graph) if sha256 is None else sha256, adds=True)
        session = open_session("openvino", graph, threads=threads, execution_precision=precision, compiled=models)
        try:
            return session.run(BATCH)
        finally:
            session.close()

    return compute


def files(graph: Path) -> tuple[Path, ...]:
    """A graph and its weights."""
    return files_of(graph, [f"{graph.stem}.bin"])


def hashes(graph: Path) -> dict[str, str]:
    """What a manifest says of a graph and its weights."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files(graph)}


def write_whole(path: Path, model: bytes) -> None:
    """A file of the cache as it is on disk: the model, and the SHA-256 of the file's name and the model."""
    path.write_bytes(model + hashlib.sha256(path.name.encode() + model).digest())


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
    assert "is damaged and was not used" in caplog.text


class Exported:
    """What can be kept without a runtime: a model that exports to given bytes."""

    def __init__(self, data: bytes):
        self.data = data

    def export_model(self) -> bytes:
        """As OpenVINO's."""
        return self.data


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    """A graph with its weights, of a few bytes."""
    (tmp_path / "model.bin").write_bytes(b"weights")
    (tmp_path / "model.xml").write_bytes(b"graph")
    return tmp_path / "model.xml"


FACTS = {"openvino": "2026.4.1", "cpu": "a CPU", "capabilities": ["INT8"], "options": {"threads": 2}, "isa": None}


@pytest.mark.parametrize("other", [{**FACTS, name: "another"} for name in FACTS])
def test_another_version_cpu_or_option_has_a_model_of_its_own(tmp_path: Path, graph: Path, other: Any) -> None:
    """Nothing of what the compiled code depends on may differ."""
    models = CompiledModelCache(tmp_path / "kept", hashes(graph), adds=True)
    models.keep(FACTS, files(graph), Exported(b"code"))
    found = models.find(FACTS)
    assert found is not None
    assert found.tobytes() == b"code"
    assert models.find(other) is None


def test_other_files_and_another_machine_have_models_of_their_own(tmp_path: Path, graph: Path) -> None:
    """The files by their hashes, the machine by its instruction sets."""
    CompiledModelCache(tmp_path / "kept", hashes(graph), machine=("avx2",), adds=True).keep(
        FACTS, files(graph), Exported(b"code")
    )
    changed = {**hashes(graph), "model.bin": "0" * 64}
    assert CompiledModelCache(tmp_path / "kept", changed, machine=("avx2",), adds=True).find(FACTS) is None
    assert CompiledModelCache(tmp_path / "kept", hashes(graph), adds=True).find(FACTS) is None
    assert CompiledModelCache(tmp_path / "kept", hashes(graph), machine=("avx2",), adds=True).find(FACTS) is not None


def test_a_model_under_another_ones_name_is_not_used(tmp_path: Path, graph: Path) -> None:
    """Its digest holds its name."""
    models = CompiledModelCache(tmp_path / "kept", hashes(graph), adds=True)
    models.keep(FACTS, files(graph), Exported(b"code"))
    models.keep({**FACTS, "cpu": "another"}, files(graph), Exported(b"other"))
    first, second = kept_models(tmp_path / "kept")
    shutil.copyfile(first, second)
    assert (models.find(FACTS) is None) != (models.find({**FACTS, "cpu": "another"}) is None)


def test_threads_and_precision_are_among_the_options(opened: Callable[..., Any], own_cache: Path) -> None:
    """As the session passes them on."""
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


def test_a_foreign_model_in_the_cache_is_found_by_the_self_test_and_compiled_again(
    published: Path, own_cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Even one that is whole and under the right name; the cache never decides which variant runs."""
    expected = scores(published), scores(published)
    (model,) = kept(own_cache)
    graph = own_cache / "wrong" / "openvino_model.xml"
    graph.parent.mkdir()
    shutil.copyfile(published / "openvino/openvino_model.xml", graph)
    weights = bytearray((published / "openvino/openvino_model.bin").read_bytes())
    weights[-4096:] = np.full(1024, 0.5, np.float32).tobytes()
    graph.with_suffix(".bin").write_bytes(weights)
    elsewhere = CompiledModelCache(own_cache / "elsewhere", hashes(graph), adds=True)
    open_session("openvino", graph, threads=2, compiled=elsewhere).close()
    (made,) = (own_cache / "elsewhere").iterdir()
    data = made.read_bytes()[:-32]
    write_whole(model, data)
    with caplog.at_level(logging.WARNING):
        assert np.array_equal(scores(published), expected[0])
    assert "the cached compiled model failed" in caplog.text
    assert not kept(own_cache)


def test_what_cannot_be_imported_is_compiled_again(published: Path, own_cache: Path) -> None:
    """OpenVINO raises what it likes."""
    expected = scores(published), scores(published)
    (model,) = kept(own_cache)
    data = b"not a model"
    write_whole(model, data)
    assert np.array_equal(scores(published), expected[0])


def test_many_batches_never_use_a_kept_model(published: Path, own_cache: Path) -> None:
    """The self-test does not reach the streams."""
    for _ in range(3):
        with load(published, variant=VARIANT, threads=2) as reranker:
            reranker.predict(PAIRS * 200)
    assert len(kept(own_cache)) == 1


@pytest.mark.parametrize("options", [{"verify": "full"}, {"self_test": False}])
def test_a_full_verification_and_a_load_without_self_test_compile_anew(
    published: Path, own_cache: Path, options: dict[str, Any]
) -> None:
    """The one ignores what earlier processes left, the other would not notice what is wrong with it."""
    scores(published)
    scores(published, **options)
    assert not kept(own_cache)


def test_only_the_models_used_last_stay(tmp_path: Path, graph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service whose models change every day does not fill its disk; what a kill left goes too."""
    monkeypatch.setattr(compiled_cache, "MOST_BYTES_KEPT", 2500)
    folder = tmp_path / "kept"
    models = CompiledModelCache(folder, hashes(graph), adds=True)
    versions = [{**FACTS, "openvino": str(i)} for i in range(3)]
    for age, facts in ((300, versions[0]), (200, versions[1])):
        models.keep(facts, files(graph), Exported(bytes(1000)))
        newest = max(kept_models(folder), key=lambda path: path.stat().st_mtime)
        os.utime(newest, (time.time() - age, time.time() - age))
    for name, age in (("old.partial", 7200), ("new.partial", 0)):
        (folder / name).write_bytes(b"")
        os.utime(folder / name, (time.time() - age, time.time() - age))
    assert models.find(versions[0]) is not None  # the older one is used again
    models.keep(versions[2], files(graph), Exported(bytes(1000)))
    assert [models.find(facts) is not None for facts in versions] == [True, False, True]
    assert [path.name for path in folder.glob("*.partial")] == ["new.partial"]


def test_a_large_model_is_not_kept(
    opened: Callable[..., Any], own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Writing it would hold it in memory twice."""
    monkeypatch.setattr(compiled_cache, "MOST_BYTES_OF_FILES", 1000)
    opened()
    assert not kept(own_cache)


def test_a_cache_that_cannot_be_written_only_costs_time(opened: Callable[..., Any], own_cache: Path) -> None:
    """A file where the folder should be stands for any such cache: root may write into read-only folders."""
    (own_cache / "compiled").write_text("")
    assert np.array_equal(opened(), opened())


class Failing:
    """A model that cannot be exported."""

    def export_model(self) -> bytes:
        """As OpenVINO's, without memory."""
        raise MemoryError


def test_a_model_that_cannot_be_exported_only_is_not_kept(tmp_path: Path, graph: Path) -> None:
    """It was compiled, and can be used."""
    CompiledModelCache(tmp_path / "kept", hashes(graph), adds=True).keep(FACTS, files(graph), Failing())
    assert not kept_models(tmp_path / "kept")
