"""The record of a proof: when it counts, what it may say, and what `select` makes of it."""

from pathlib import Path

import msgspec
import pytest

from artificer import __version__, host
from artificer.errors import SelectionError
from artificer.manifest import Manifest, Parity, Tuning
from artificer.manifest.metric_names import QUALITY_RATIO
from artificer.proving.local_record import LocalRecord, ProvenExecution, Speed
from artificer.proving.local_speeds import with_comparable_speeds
from artificer.proving.record_store import find, place_of, write
from artificer.selection.policy import Policy
from artificer.selection.select import select

replace = msgspec.structs.replace
INT8 = "openvino-qint8"


@pytest.fixture(scope="module")
def record(manifest: Manifest) -> LocalRecord:
    """A record of the int8 variant, with figures that pass."""
    variant = manifest.variant(INT8)
    assert variant.digest is not None
    plain = variant.parity[0]
    from artificer.proving.measurement import Measurement

    measurement = Measurement(
        runtime_version="1", isa_class="here", execution_precision="f32", default_precision=False,
        metrics={"score_max_abs": 0.0, "length_score_max_abs": 0.0, "process_score_max_abs": 0.0},
    )  # fmt: skip
    assert plain.execution_precision == "f32"
    execution = ProvenExecution(
        id=INT8, digest=variant.digest, precision="f32", device="cpu", settings={}, verdict="passed", reasons=(),
        measurement=measurement,
    )  # fmt: skip
    return LocalRecord(
        record_version="1.0", slug="a/../model", manifest_sha256="a" * 64, proof_sha256="b" * 64,
        artificer_version=__version__, host=replace(host.detect(), isa_class="here", runtime_isa={}), threads=1,
        baseline="onnx", quick=False, seconds=1.0, executions=(execution,),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"record_version": "2.0"}, "it has version 2.0"),
        ({"manifest_sha256": "c" * 64}, "it was made for another manifest"),
        ({"artificer_version": "0.0.1"}, "it was made by artificer 0.0.1"),
        ({"host": {"name": "other"}}, "it was made on another class of machine, other"),
        ({"host": {"runtimes": {"openvino": "1.0"}}}, "it was made with other runtimes: openvino 1.0; installed: "),
        ({"host": {"isa": ("avx",)}}, "it was made on a machine with other instruction sets"),
    ],
)
def test_a_record_is_worthless_for_anything_else(
    record: LocalRecord, tmp_path: Path, changes: dict[str, object], reason: str
) -> None:
    """Other bytes, other runtimes, another class: it is not used, and says so."""
    known = record.host
    assert find(tmp_path, record.slug, record.manifest_sha256, known, __version__).said is None
    made = changes.get("host")
    other = replace(record, **(changes | ({"host": replace(known, **made)} if isinstance(made, dict) else {})))
    write(tmp_path, other)
    place_of(tmp_path, record.slug, record.manifest_sha256, known).parent.mkdir(parents=True, exist_ok=True)
    found = find(tmp_path, record.slug, record.manifest_sha256, known, __version__)
    assert found.record is None
    assert reason in str(found.said)


def test_a_record_is_kept_below_the_cache_whatever_the_models_name(record: LocalRecord, tmp_path: Path) -> None:
    """A manifest's slug is a text of somebody else's."""
    path = write(tmp_path, record)
    assert path is not None
    assert path.resolve().is_relative_to(tmp_path)
    assert find(tmp_path, record.slug, record.manifest_sha256, record.host, __version__).record == record


def amended(manifest: Manifest, record: LocalRecord) -> tuple[Parity, ...]:
    """The records of int8 under the record."""
    return record.amended(manifest).variant(INT8).parity


def test_a_verdict_is_not_taken_from_the_record(manifest: Manifest, record: LocalRecord) -> None:
    """Its figures are judged again by the manifest's thresholds."""
    (each,) = record.executions
    assert each.measurement is not None
    bad = replace(each.measurement, metrics=each.measurement.metrics | {"score_max_abs": 0.9})
    lying = replace(record, executions=(replace(each, measurement=bad, verdict="passed"),))
    assert [p.verdict for p in amended(manifest, lying) if p.isa_class == "here"] == ["failed"]
    assert [p.verdict for p in amended(manifest, record) if p.isa_class == "here"] == ["passed"]


def test_a_record_says_nothing_of_other_bytes(manifest: Manifest, record: LocalRecord) -> None:
    """A digest that is not the variant's changes nothing."""
    other = replace(record, executions=(replace(record.executions[0], digest="d" * 64),))
    assert amended(manifest, other) == manifest.variant(INT8).parity


def test_a_record_widens_no_bound_and_keeps_the_builders_quality(manifest: Manifest, record: LocalRecord) -> None:
    """It saw fewer texts: the error bound of `refine="exact"` stays the largest difference that anybody saw."""
    variant = manifest.variant(INT8)
    builders = replace(variant.parity[0], metrics={"score_max_abs": 0.2, QUALITY_RATIO: 0.99})
    known = replace(manifest, variants=(replace(variant, parity=(builders,)),))
    (found,) = [each for each in amended(known, record) if each.isa_class == "here"]
    assert (found.metrics["score_max_abs"], found.metrics[QUALITY_RATIO]) == (0.2, 0.99)


@pytest.mark.parametrize(("threads", "streams"), [(1, 2), (4, None)])
def test_a_record_keeps_the_builders_tuning_of_as_many_threads(
    manifest: Manifest, record: LocalRecord, threads: int, streams: int | None
) -> None:
    """A proof measures speed and tunes nothing."""
    (each,) = record.executions
    timed = replace(each, speed=Speed(load_seconds=1.0, peak_memory_bytes=1, rows=()))
    (known,) = manifest.benchmarks
    subjects = tuple(replace(subject, tuning=Tuning(streams=2)) for subject in known.subjects)
    tuned = replace(manifest, benchmarks=(replace(known, host=record.host, threads=threads, subjects=subjects),))
    own = replace(record, executions=(timed,)).amended(tuned).benchmarks[0]
    found = own.subjects[0].tuning
    assert (own.baseline, None if found is None else found.streams) == ("onnx", streams)


def test_what_cannot_be_run_here_is_refused_with_its_reason(manifest: Manifest, record: LocalRecord) -> None:
    """An error is a verdict as well."""
    broken = replace(record.executions[0], verdict="failed", error="illegal instruction", measurement=None)
    here = replace(record.host, isa_class="here")
    changed = replace(record, host=here, executions=(broken,)).amended(manifest)
    assert any("illegal instruction" in each.reasons for each in changed.variant(INT8).parity)
    with pytest.raises(SelectionError, match="illegal instruction"):
        select(changed, here, Policy(accuracy="any"), INT8)


def test_speeds_are_ratios_to_the_plain_execution(record: LocalRecord) -> None:
    """Two executions with one ratio are equally fast, however busy the machine was when each was timed."""
    from artificer.manifest import BenchmarkRow
    from artificer.proving.local_record import Speed

    def timed(name: str, per_second: float, ratio: float) -> ProvenExecution:
        row = BenchmarkRow(
            workload="proof-set", batch_size=1, inputs_per_second=per_second, p50_ms=1000 / per_second,
            p95_ms=2000 / per_second, p99_ms=2000 / per_second, speedup=ratio,
        )  # fmt: skip
        speed = Speed(load_seconds=1.0, peak_memory_bytes=1, rows=(row,))
        return replace(record.executions[0], id=name, speed=speed)

    plain, quiet, busy = with_comparable_speeds(
        [timed("onnx", 100, 1.1), timed("a", 300, 2.0), timed("b", 50, 2.0)], "onnx"
    )
    rows = [each.speed.rows[0] for each in (plain, quiet, busy) if each.speed is not None]
    assert [row.speedup for row in rows] == [1.0, 2.0, 2.0]
    assert [row.inputs_per_second for row in rows] == [100, 200, 200]
    assert [(row.p50_ms, row.p95_ms) for row in rows] == [(10, 20), (5, 10), (5, 10)]
