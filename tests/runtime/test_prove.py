"""Proving a package where it is served: the proof set, the record, and what `load` makes of it."""

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from artificer import host
from artificer.cli import main
from artificer.errors import ArtificerError, ManifestError
from artificer.hub.index import Event, Index, IndexEntry, Release
from artificer.loading.loader import load
from artificer.loading.location import read_manifest
from artificer.manifest import Host, Manifest, Variant
from artificer.proving import asking
from artificer.proving.answering import Answer, Package, Question
from artificer.proving.depth import FULL, QUICK, depth_of
from artificer.proving.local_record import LocalRecord
from artificer.proving.measurement import LengthTexts
from artificer.proving.offered import offered
from artificer.proving.proof_set import ProofSet, packed, unpacked
from artificer.proving.prove import _Run
from tests.runtime.conftest import ROOT, Copy, rewrite

replace = msgspec.structs.replace
INT8 = "openvino-qint8"


def elsewhere(folder: Path, **limits: float) -> Path:
    """The folder as if it was built on another class of CPU; `limits` are thresholds of int8."""
    manifest, _ = read_manifest(folder)
    assert manifest.proof is not None
    thresholds = manifest.proof.thresholds | {"int8": manifest.proof.thresholds["int8"] | limits}

    def of_another_class(variant: Variant) -> Variant:
        own = [each for each in variant.parity if each.execution_precision == variant.parity[0].execution_precision]
        return replace(variant, parity=tuple(replace(each, isa_class="another") for each in own))

    rewrite(
        folder,
        variants=tuple(map(of_another_class, manifest.variants)),
        benchmarks=(),
        proof=replace(manifest.proof, thresholds=thresholds),
    )
    return folder


def explained(folder: Path, **environment: str) -> dict[str, object]:
    """What `artificer explain --json` prints, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "artificer.cli", "explain", str(folder), "--json"],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), **environment}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found: dict[str, object] = json.loads(done.stdout)
    return found


def record_of(own_cache: Path) -> LocalRecord:
    """The only record in the cache."""
    (path,) = own_cache.glob("proofs/*/*.json")
    return msgspec.json.decode(path.read_bytes(), type=LocalRecord)


def test_what_is_proven_here_is_run_here_from_then_on(
    copied: Copy, own_cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """int8 of another class is refused before, and admitted after; `explain` says why, and --out has the record."""
    folder = elsewhere(copied("onnx", INT8))
    with load(folder) as before:
        assert before.explain().variant == "onnx"
        assert INT8 in before.explain().rejected
        assert before.explain().own_proof is None
    assert main(["prove", str(folder), "--quick", "--threads", "1", "--out", str(tmp_path / "record.json")]) == 0
    printed = capsys.readouterr().out
    assert f"{INT8}: passed; scores within" in printed
    record = record_of(own_cache)
    assert msgspec.json.decode((tmp_path / "record.json").read_bytes(), type=LocalRecord) == record
    assert record.host == host.detect()
    int8 = next(each for each in record.executions if each.label == INT8)
    assert (int8.verdict, int8.measurement is not None and int8.measurement.metrics["process_score_max_abs"]) == (
        "passed",
        0.0,
    )
    with load(folder) as after:
        found = after.explain()
        assert INT8 in (found.variant, *found.alternatives)
        assert found.own_proof is not None
        assert "executions passed, by a quick proof of this machine" in found.own_proof
        assert after.manifest.variant(INT8).parity[0].isa_class == "another"  # what was published stays what it is
    assert "  proven here: " in str(found)


def test_what_fails_here_is_not_run_though_the_builder_passed_it(copied: Copy) -> None:
    """The thresholds are the manifest's; the verdict is of this machine."""
    folder = elsewhere(copied("onnx", INT8), score_max_abs=0.0)
    assert main(["prove", str(folder), "--quick", "--threads", "1"]) == 0
    with load(folder, accuracy="any") as loaded:
        assert loaded.explain().variant == "onnx"
        assert "score_max_abs is" in loaded.explain().rejected[INT8][0]


def test_load_proves_once(copied: Copy, own_cache: Path) -> None:
    """`prove=True` finds the record at the second load."""
    folder = elsewhere(copied("onnx"))
    with load(folder, prove=True, threads=1) as first:
        assert "at this load in" in str(first.explain().own_proof)
    (path,) = own_cache.glob("proofs/*/*.json")
    written = path.stat().st_mtime_ns
    with load(folder, prove=True, threads=1) as second:
        assert "by a proof of this machine" in str(second.explain().own_proof)
    assert path.stat().st_mtime_ns == written


def test_a_record_of_one_class_is_not_taken_for_another(copied: Copy) -> None:
    """ONEDNN_MAX_CPU_ISA makes OpenVINO use other kernels on this very machine: what was proven without it is void."""
    if "openvino" not in host.detect(environment={"ONEDNN_MAX_CPU_ISA": "AVX2"}).runtime_isa:
        pytest.skip("oneDNN's limit takes nothing away on this CPU")
    folder = elsewhere(copied("onnx", INT8))
    assert main(["prove", str(folder), "--quick", "--threads", "1"]) == 0
    assert INT8 not in explained(folder)["rejected"]  # type: ignore[operator]
    limited = explained(folder, ONEDNN_MAX_CPU_ISA="AVX2")
    assert INT8 in limited["rejected"]  # type: ignore[operator]
    assert "it was made on another class of machine" in str(limited["own_proof"])


def test_a_name_in_the_index_is_proven_as_it_is_loaded(
    copied: Copy, own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stable release of the index that ARTIFICER_INDEX names."""
    folder = copied("onnx")
    manifest, sha256 = read_manifest(folder)
    (tmp_path / "acme").mkdir()
    folder.rename(tmp_path / "acme" / "model")
    release = Release(repo="acme/model", revision=None, manifest_sha256=sha256)
    history = (Event(action="publish", release=release), Event(action="promote", release=release))
    entry = IndexEntry(channels={"candidate": release, "stable": release}, history=history)
    (tmp_path / "index.json").write_bytes(Index(models={manifest.slug: entry}).to_json())
    monkeypatch.setenv("ARTIFICER_INDEX", str(tmp_path))
    assert main(["prove", manifest.slug, "--quick", "--threads", "1"]) == 0
    assert record_of(own_cache).manifest_sha256 == sha256
    with load(manifest.slug) as loaded:
        assert loaded.explain().own_proof is not None


def test_a_package_without_a_proof_set_says_so(copied: Copy, capsys: pytest.CaptureFixture[str]) -> None:
    """Packages of earlier releases have none."""
    folder = copied("onnx")
    rewrite(folder, proof=None)
    assert main(["prove", str(folder)]) == 1
    assert "the package has no proof set" in capsys.readouterr().err


def test_a_changed_proof_set_is_refused(copied: Copy, capsys: pytest.CaptureFixture[str]) -> None:
    """It is a file of the manifest as any other: nothing is proven by other outputs than the builder's."""
    folder = copied("onnx")
    path = folder / "proof-set.json.gz"
    path.write_bytes(packed(replace(unpacked(path.read_bytes()), outputs=((0.0,),) * 42)))
    assert main(["prove", str(folder)]) == 1
    assert "proof-set.json.gz: expected" in capsys.readouterr().err


def test_equal_proof_sets_give_equal_bytes() -> None:
    """No time, no name, no system in the compressed file."""
    proof = ProofSet(texts=(("a", "b"),), outputs=((0.5,),), lengths=LengthTexts())
    assert packed(proof) == packed(unpacked(packed(proof)))
    assert unpacked(packed(proof)) == proof
    assert packed(proof)[:10] == b"\x1f\x8b\x08\0\0\0\0\0\x02\xff"


@pytest.mark.parametrize("data", [b"", b"{}", packed(ProofSet(texts=(), outputs=(), lengths=LengthTexts()))])
def test_another_file_than_a_proof_set_is_an_error_of_the_package(data: bytes) -> None:
    """One message."""
    with pytest.raises(ManifestError, match=r"proof-set\.json\.gz: "):
        unpacked(data)


def test_a_cut_proof_set_is_an_error_of_the_package() -> None:
    """At whatever byte."""
    data = packed(ProofSet(texts=(("a", "b"),), outputs=((0.5,),), lengths=LengthTexts()))
    for end in range(len(data)):
        with pytest.raises(ManifestError):
            unpacked(data[:end])


QUESTION = Question(variant="onnx", precision="f32", device="cpu", settings={}, pairs=1, lengths=(), timing=0)


def test_a_process_that_is_killed_is_one_failed_answer(monkeypatch: pytest.MonkeyPatch, manifest: Manifest) -> None:
    """A runtime that dies takes neither `artificer prove` nor a service along."""
    monkeypatch.setattr(asking, "_COMMAND", "import os; os.kill(os.getpid(), 9)")
    with asking.Process(Package(".", manifest.to_json(), 1)) as process:
        error = process.ask(QUESTION).error
    assert error is not None
    assert error.startswith("its process was killed (signal 9)")


def test_a_process_that_hangs_is_one_failed_answer(monkeypatch: pytest.MonkeyPatch, manifest: Manifest) -> None:
    """It is not waited for."""
    monkeypatch.setattr(asking, "_COMMAND", "import time; time.sleep(60)")
    monkeypatch.setattr(asking, "_LEAST_TIMEOUT", 0.5)
    with asking.Process(Package(".", manifest.to_json(), 1)) as process:
        assert process.ask(QUESTION).error == "no answer within 0 s"


def test_a_process_that_raises_says_its_last_line(monkeypatch: pytest.MonkeyPatch, manifest: Manifest) -> None:
    """Where it cannot even start, the reason is there."""
    monkeypatch.setattr(asking, "_COMMAND", "raise SystemExit('no such library')")
    with asking.Process(Package(".", manifest.to_json(), 1)) as process:
        assert process.ask(QUESTION).error == "its process ended with exit code 1: no such library"


@pytest.mark.parametrize("is_workaround", [False, True])
def test_the_next_execution_is_asked_what_fits_into_the_time_that_is_left(
    published: Path, manifest: Manifest, is_workaround: bool
) -> None:
    """Also a workaround, whose cost is not counted as long as it is not the next."""
    assert manifest.proof is not None
    proof = unpacked((published / manifest.proof.file.path).read_bytes())
    machine = host.detect()
    nobody: Any = None
    run = _Run(published, manifest, proof, machine, 1, False, nobody, nobody, seconds_per_token=1e-9)
    each = replace(offered(manifest, machine)[0], is_workaround=is_workaround)
    run.plan([each], 50.0)
    everything = run.depths[each.carries_over]
    run.took, run.estimated = 1e9, 1e-9  # earlier ones took far longer than was expected
    run.plan([each], 50.0)
    assert run.depths[each.carries_over].pairs <= everything.pairs
    assert len(run.depths[each.carries_over].lengths) < len(everything.lengths)


LENGTHS = [*range(5, 65), *range(93, 101), *range(125, 133), *range(509, 513)]


@pytest.mark.parametrize("fraction", sorted({each for pair in (*FULL, *QUICK) for each in pair}))
def test_less_depth_keeps_pairs_the_longest_text_and_an_even_choice(fraction: float) -> None:
    """A full one asks everything; above a quarter every short length is asked; no run of lengths is left out."""
    found = depth_of(fraction, 400, LENGTHS)
    asked = [LENGTHS[i] for i in found.lengths]
    assert 24 <= found.pairs <= 400
    assert 512 in asked
    if fraction == 1.0:
        assert (found.pairs, asked) == (400, LENGTHS)
    short = [each for each in asked if each <= 64]
    assert all(b - a <= (1 if fraction >= 0.25 else 4) for a, b in pairwise(short))
    assert (short[0], short[-1]) == (5, 64)


def test_an_unwritable_place_for_the_record_is_one_line(
    copied: Copy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """--out below a file."""
    (tmp_path / "file").write_text("")
    folder = elsewhere(copied("onnx"))
    assert main(["prove", str(folder), "--quick", "--threads", "1", "--out", str(tmp_path / "file" / "r.json")]) == 1
    assert "cannot be written" in capsys.readouterr().err


def test_another_plain_execution_is_the_baseline_where_the_first_cannot_be_run(
    copied: Copy, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A runtime that does not work here is a failed execution, and not the end of the proof."""
    folder = elsewhere(copied("onnx", "onnx-O2"))
    ask = asking.Process.ask

    def broken(self: asking.Process, question: Question, timeout: float = 0.0) -> Answer:
        return Answer(error="illegal instruction") if question.variant == "onnx" else ask(self, question, timeout)

    monkeypatch.setattr(asking.Process, "ask", broken)
    with load(folder, prove=True, threads=1) as loaded:
        assert loaded.explain().variant == "onnx-O2"
        assert "illegal instruction" in loaded.explain().rejected["onnx"][0]
    assert record_of(own_cache).baseline == "onnx-O2"


def test_nothing_that_can_be_run_is_an_error_with_each_reason(
    copied: Copy, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And no record."""
    monkeypatch.setattr(asking.Process, "ask", lambda *_, **__: Answer(error="illegal instruction"))
    assert main(["prove", str(elsewhere(copied("onnx", "onnx-O2")))]) == 1
    assert "\n  onnx: illegal instruction\n  onnx-O2: illegal instruction\n" in capsys.readouterr().err


def test_a_host_without_the_runtimes_is_told_so(copied: Copy, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is offered: an error, and no empty record."""
    bare: Host = replace(host.detect(), runtimes={})
    monkeypatch.setattr(host, "detect", lambda: bare)
    with pytest.raises(ArtificerError, match="no variant can run on"):
        load(copied("onnx"), prove=True)
