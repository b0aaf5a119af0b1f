"""Figures of a busy machine do not replace quieter ones, unless that is requested."""

import multiprocessing
import time
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from artificer.manifest import Benchmark, canonical_json
from stages.benchmarking import other_load
from stages.benchmarking.other_load import OtherLoad
from stages.benchmarking.quieter_figures import ALLOW_BUSY, figures_to_keep
from stages.core import files, paths
from tests.stages.fabricated import HOST, SLUG, Fabricated
from tests.stages.project import read_json

pytestmark = pytest.mark.usefixtures("root")
DIGEST = "0" * 64


@pytest.fixture
def measured(root: Path, tiny: Path) -> Benchmark:
    """Figures of a built model on this host."""
    Fabricated().write(root, tiny)
    found = msgspec.json.decode(paths.benchmark(SLUG).read_bytes(), type=Benchmark)
    return msgspec.structs.replace(found, workloads_sha256=DIGEST)


def earlier(found: Benchmark, **changes: Any) -> Benchmark:
    """Figures in git that differ in their speed and in `changes`."""
    found = msgspec.structs.replace(found, rounds=7, **changes)
    files.write_file(paths.benchmarks(SLUG) / f"{HOST.name}.json", canonical_json(found))
    return found


def with_load(found: Benchmark, percent: float | None) -> Benchmark:
    """The figures, measured beside so much other load."""
    return msgspec.structs.replace(found, busy_percent=percent)


@pytest.mark.parametrize(
    ("then", "now", "keeps_the_earlier"),
    [(3.0, 60.0, True), (None, 60.0, True), (30.0, 60.0, True), (60.0, 30.0, False), (3.0, 15.0, False)],
)
def test_quieter_figures_stay(
    measured: Benchmark,
    capsys: pytest.CaptureFixture[str],
    then: float | None,
    now: float,
    keeps_the_earlier: bool,
) -> None:
    """A little load changes nothing; among busy ones the quieter wins; and the output says what was done."""
    old, new = earlier(measured, busy_percent=then), with_load(measured, now)
    assert figures_to_keep(SLUG, new) == (old if keeps_the_earlier else new)
    out = capsys.readouterr().out
    assert ("kept the earlier figures in registry/benchmarks/tiny/amd-test-avx2-2c.json" in out) == keeps_the_earlier
    assert (f"{ALLOW_BUSY}=1" in out) == keeps_the_earlier


def test_busy_figures_replace_quieter_ones_when_asked(measured: Benchmark, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a variable, which reaches the stage through `dvc repro`."""
    monkeypatch.setenv(ALLOW_BUSY, "1")
    earlier(measured, busy_percent=3.0)
    new = with_load(measured, 60.0)
    assert figures_to_keep(SLUG, new) is new


@pytest.mark.parametrize("change", ["runtime", "threads", "preset", "texts", "bytes", "none there"])
def test_figures_of_something_else_are_replaced(measured: Benchmark, change: str) -> None:
    """Another runtime, other settings, texts or bytes: the earlier figures say nothing about these."""
    changes: dict[str, Any] = {
        "runtime": {"host": msgspec.structs.replace(HOST, runtimes={"onnxruntime": "1.31.0"})},
        "threads": {"threads": 1},
        "preset": {"preset": "other"},
        "texts": {"workloads_sha256": "1" * 64},
        "bytes": {"subjects": tuple(msgspec.structs.replace(s, digest=DIGEST) for s in measured.subjects)},
    }
    if change in changes:
        earlier(measured, busy_percent=3.0, **changes[change])
    new = with_load(measured, 60.0)
    assert figures_to_keep(SLUG, new) is new


@pytest.mark.parametrize("content", [b'{"rounds": 5, "pairs_per_second": 1}', b"\xff"])
def test_figures_that_cannot_be_read_are_replaced(
    measured: Benchmark, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    """A file of 0.1 does not end a benchmark that has run; the output says that nothing was compared."""
    files.write_file(paths.benchmarks(SLUG) / f"{HOST.name}.json", content)
    new = with_load(measured, 60.0)
    assert figures_to_keep(SLUG, new) is new
    out = capsys.readouterr().out
    assert out.startswith("the earlier figures are not compared: registry/benchmarks/tiny/amd-test-avx2-2c.json: ")


def test_figures_without_the_new_fields_have_the_bytes_that_they_had(measured: Benchmark) -> None:
    """Records of older releases stay as they are."""
    old = msgspec.structs.replace(measured, workloads_sha256=None)
    path = Path("old.json")
    path.write_bytes(canonical_json(old))
    assert set(read_json(path)) == {"host", "preset", "threads", "rounds", "subjects"}


def test_the_load_of_others_is_what_is_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten seconds on two CPUs, twelve of them busy, four by us: eight of twenty."""
    now = iter([(100.0, 50.0, 5.0), (110.0, 62.0, 9.0)])
    monkeypatch.setattr(other_load, "_now", lambda: next(now))
    monkeypatch.setattr(psutil, "cpu_count", lambda: 2)
    assert OtherLoad().percent() == 40.0


def burn(seconds: float) -> None:
    """Keep one CPU busy."""
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_children_are_not_others() -> None:
    """The processes that are measured do not make the machine busy."""
    before = other_load._now()
    process = multiprocessing.get_context("spawn").Process(target=burn, args=(0.5,))
    process.start()
    process.join()
    assert other_load._now()[2] - before[2] >= 0.5
