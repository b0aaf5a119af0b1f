"""`record add`: what another machine proved, checked and judged again, and published by the next `pack`."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from artificer.host import host_name
from artificer.manifest import BenchmarkRow, Host, Manifest, Metrics, canonical_json
from artificer.proving.local_record import LocalRecord, ProvenExecution, Speed
from artificer.proving.measurement import Measurement
from stages.commands import other_classes
from stages.core.errors import BuildError
from stages.fleet.driver import Wish
from stages.fleet.fragments import Fragment
from stages.fleet.progress import Progress
from stages.fleet.ray_cluster import Cluster
from stages.fleet.runner import Plan
from stages.fleet.workspace import Order
from tests.stages.conftest import Stages
from tests.stages.fabricated import SLUG, Fabricated
from tests.stages.project import snapshot

replace = msgspec.structs.replace
PACKAGE = Path("artifacts/packages", SLUG)
REGISTRY_ERROR = 3
USAGE_ERROR = 2
GOOD: Metrics = {
    "score_max_abs": 0.0, "score_mean_abs": 0.0, "spearman": 1.0, "top_k_overlap": 1.0,
    "length_score_max_abs": 0.0, "process_score_max_abs": 0.0,
}  # fmt: skip
ISA = ("amx_bf16", "amx_int8", "amx_tile", "avx2", "avx512", "avx512_bf16", "avx512_vnni", "x86-64")
AMX = Host(
    name=host_name("Intel Xeon", "amx", 4, ()), architecture="x86_64", cpu_model="Intel Xeon", isa=ISA, isa_class="amx",
    cores=4, accelerators=(), runtimes={"onnxruntime": "1.32.0", "openvino": "2026.4.1"},
)  # fmt: skip


def execution(manifest: Manifest, name: str = "openvino-qint8", **metrics: float | None) -> ProvenExecution:
    """What was proven of a variant in float32."""
    row = BenchmarkRow(
        workload="proof-set", batch_size=1, inputs_per_second=9.0, p50_ms=1.0, p95_ms=1.0, p99_ms=1.0, speedup=3.0
    )
    variant = manifest.variant(name)
    assert variant.digest is not None
    package = "openvino" if variant.runtime == "openvino" else "onnxruntime"
    return ProvenExecution(
        id=name, digest=variant.digest, precision="f32", device="cpu", settings={},
        verdict="failed" if metrics else "passed", reasons=(), pairs=48, lengths=20,
        measurement=Measurement(
            runtime_version=AMX.runtimes[package], isa_class="amx", execution_precision="f32", default_precision=False,
            metrics=GOOD | metrics,
        ),
        speed=Speed(load_seconds=0.1, peak_memory_bytes=1000, rows=(row,)),
    )  # fmt: skip


@pytest.fixture
def manifest(root: Path, tiny: Path, stages: Stages) -> Manifest:
    """A packed model, measured on a machine of class avx2."""
    Fabricated().write(root, tiny)
    assert stages("pack", SLUG)[0] == 0
    return Manifest.from_json((root / PACKAGE / "manifest.json").read_bytes())


@pytest.fixture
def made(manifest: Manifest) -> LocalRecord:
    """What `artificer prove` writes on the other machine."""
    assert manifest.proof is not None
    return LocalRecord(
        record_version="1.0", slug=SLUG, manifest_sha256="a" * 64, proof_sha256=manifest.proof.file.sha256,
        artificer_version="0.2.0", host=AMX, threads=4, baseline="onnx", quick=False, seconds=1.0,
        executions=(execution(manifest, "onnx"), execution(manifest)),
    )  # fmt: skip


def written(record: LocalRecord, root: Path) -> str:
    """The record as a file."""
    (root / "record.json").write_bytes(canonical_json(record))
    return "record.json"


def test_the_next_pack_publishes_what_was_added(
    root: Path, manifest: Manifest, made: LocalRecord, stages: Stages
) -> None:
    """Proofs of the other class, and its speeds beside those of this machine; the card compares with torch alone."""
    code, out, _ = stages("record", "add", written(made, root))
    assert code == 0
    assert "  openvino-qint8: passed\n" in out
    assert f"next: dvc repro pack@{SLUG}" in out
    card = (root / PACKAGE / "README.md").read_text()
    assert stages("pack", SLUG)[0] == 0
    packed = Manifest.from_json((root / PACKAGE / "manifest.json").read_bytes())
    own, other = packed.benchmarks
    assert (own.baseline, other.baseline, other.host.name) == ("torch-fp32", "onnx", "intel-xeon-amx-4c")
    assert [each.id for each in other.subjects] == ["onnx", "openvino-qint8"]
    classes = [each.isa_class for each in packed.variant("openvino-qint8").parity]
    assert classes == [*(each.isa_class for each in manifest.variant("openvino-qint8").parity), "amx"]
    assert (root / PACKAGE / "README.md").read_text() == card


def test_the_verdict_is_that_of_params(root: Path, manifest: Manifest, made: LocalRecord, stages: Stages) -> None:
    """Figures beyond a threshold fail, and are published as a failure."""
    bad = replace(made, executions=(execution(manifest, score_max_abs=2.0),))
    code, out, _ = stages("record", "add", written(bad, root))
    assert code == 0
    assert "openvino-qint8: failed: score_max_abs is 2, at most 1" in out
    assert stages("pack", SLUG)[0] == 0
    packed = Manifest.from_json((root / PACKAGE / "manifest.json").read_bytes())
    assert packed.variant("openvino-qint8").parity[-1].verdict == "failed"
    assert packed.variant("openvino-qint8").status == "passed"


def of_first(**changes: Any) -> Callable[[LocalRecord], LocalRecord]:
    """The record with a changed first execution."""
    return lambda record: replace(record, executions=(replace(record.executions[0], **changes),))


def of_measurement(**changes: Any) -> Callable[[LocalRecord], LocalRecord]:
    """The record with a changed measurement of its first execution."""

    def changed(record: LocalRecord) -> LocalRecord:
        measurement = record.executions[0].measurement
        assert measurement is not None
        return of_first(measurement=replace(measurement, **changes))(record)

    return changed


def of_host(**changes: Any) -> Callable[[LocalRecord], LocalRecord]:
    """The record with a changed host."""
    return lambda record: replace(record, host=replace(record.host, **changes))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda record: replace(record, slug="../tiny"), "unknown model '../tiny'"),
        (lambda record: replace(record, record_version="9.0"), "record_version: expected 1.0, found '9.0'"),
        (lambda record: replace(record, quick=True), "quick: it was made with --quick"),
        (lambda record: replace(record, proof_sha256="b" * 64), "proof_sha256: it was proven by another proof set"),
        (of_first(digest="c" * 64), "onnx: digest: it was proven on other files than the package has"),
        (of_first(id="onnx-O9"), "onnx-O9: the package has no passed variant 'onnx-O9'"),
        (of_first(verdict="failed"), "onnx: verdict: by its own figures it passed, and the record says 'failed'"),
        (of_first(settings={"A": "B"}), "settings: onnx has no A=B"),
        (of_first(precision="bf16"), "onnx in bf16: onnx does not offer this on intel-xeon-amx-4c"),
        (of_first(measurement=None), "onnx: it has no measurement, and no error that says why"),
        (of_measurement(isa_class="avx2"), "measurement.isa_class: expected 'amx', found 'avx2'"),
        (of_measurement(runtime_version="1.0"), "measurement.runtime_version: expected '1.32.0', found '1.0'"),
        (of_measurement(metrics=GOOD | {"score_max_abs": -1.0}), "metrics.score_max_abs: expected a finite number"),
        (of_measurement(metrics={"score_max_abs": 0.0}), "metrics.length_score_max_abs: missing"),
        (of_host(name="../../etc"), "host.name: expected 'intel-xeon-amx-4c', found '../../etc'"),
        (of_host(isa_class="avx2"), "host.isa_class: its instruction sets are those of amx, found 'avx2'"),
        (of_host(runtime_isa={"other": ()}), "host.runtime_isa: unknown runtimes other"),
        (of_host(isa=(), isa_class="../x", architecture="../x"), "host.name: expected "),
    ],
)
def test_a_record_that_is_not_what_it_says_is_refused_and_nothing_is_written(
    root: Path, made: LocalRecord, stages: Stages, change: Callable[[LocalRecord], LocalRecord], problem: str
) -> None:
    """One of two files is enough: the good one is not taken either."""
    (root / "good.json").write_bytes(canonical_json(made))
    bad = written(change(made), root)
    before = snapshot(root / "registry")
    code, _, err = stages("record", "add", "good.json", bad)
    assert code == REGISTRY_ERROR
    assert problem in err
    assert "Nothing was added." in err
    assert snapshot(root / "registry") == before


@pytest.mark.parametrize("content", ["", "{", '{"slug": "tiny"}'])
def test_another_file_than_a_record_is_one_line(root: Path, manifest: Manifest, stages: Stages, content: str) -> None:
    """No traceback."""
    assert manifest.slug == SLUG
    (root / "other.json").write_text(content)
    code, _, err = stages("record", "add", "other.json")
    assert code == REGISTRY_ERROR
    assert err.startswith("error: other.json: expected what `artificer prove --out` writes")


def test_figures_beside_torch_are_kept(root: Path, made: LocalRecord, stages: Stages) -> None:
    """A benchmark of the same machine says more than the record of a proof."""
    path = root / "registry/benchmarks" / SLUG / f"{AMX.name}.json"
    own = msgspec.json.decode((root / "artifacts/models" / SLUG / "benchmark.json").read_bytes())
    own["host"] |= {"name": AMX.name, "isa": list(ISA), "isa_class": "amx"}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.encode(own))
    code, out, _ = stages("record", "add", written(made, root))
    assert code == 0
    assert "is kept: it was measured beside torch" in out
    assert msgspec.json.decode(path.read_bytes()) == own
    assert (root / "registry/parity" / SLUG / f"{AMX.name}.json").is_file()


def test_a_record_of_this_very_machine_is_refused(root: Path, made: LocalRecord, stages: Stages) -> None:
    """`dvc repro` measures it."""
    own = msgspec.json.decode((root / "artifacts/host.json").read_bytes(), type=Host)
    code, _, err = stages("record", "add", written(replace(made, host=own), root))
    assert code == REGISTRY_ERROR
    assert f"{own.name} is this project's own machine" in err


def test_without_a_package_there_is_nothing_to_compare_with(root: Path, made: LocalRecord, stages: Stages) -> None:
    """The message says what to run."""
    (root / PACKAGE / "manifest.json").unlink()
    code, _, err = stages("record", "add", written(made, root))
    assert code == 2
    assert f"Run `dvc repro pack@{SLUG}`" in err


def test_records_of_a_fleet_are_added(root: Path, made: LocalRecord, monkeypatch: pytest.MonkeyPatch) -> None:
    """What machines of other classes proved is added, and a class that could not prove is named with its reason."""
    asked: list[tuple[str, str | None]] = []

    def on_a_cluster(plan: Plan, orders: list[Order], cluster: Cluster, _progress: Progress) -> Iterator[Fragment]:
        assert plan.proves
        for order in orders:
            asked.append((order.slug, cluster.host_class))
            if cluster.host_class == "amx":
                yield Fragment(slug=order.slug, order="", status="built", record=canonical_json(made).decode())
            else:
                yield Fragment(slug=order.slug, order="", status="failed", failed="no runtime")

    order = Order(slug=SLUG, entry={}, blocks={}, files={})
    monkeypatch.setattr("stages.fleet.ray_cluster.build_all", on_a_cluster)
    monkeypatch.setattr(other_classes, "packed_orders", lambda _wish: [order])
    monkeypatch.setattr(
        other_classes, "plan_of", lambda *_: Plan(archive=b"", dvc_config="", target="pack", keep=False)
    )
    monkeypatch.setattr("stages.fleet.workspace.common_archive", lambda: b"")
    wish = Wish(slugs=(), target="pack", cluster=Cluster(host_class="avx2", share=2))
    with pytest.raises(BuildError, match=r"^tiny on avx512: no runtime$"):
        other_classes.prove_on(wish, ["amx", "avx512"])
    assert asked == [(SLUG, "amx"), (SLUG, "avx512")]
    assert (root / "registry/parity" / SLUG / f"{AMX.name}.json").is_file()


@pytest.mark.parametrize("given", [["--classes", "amx"], ["--host-class", "amx", "--classes", "avx2,amx"]])
@pytest.mark.usefixtures("root")
def test_one_class_builds_and_the_others_prove(stages: Stages, given: list[str]) -> None:
    """A fleet that proves elsewhere is told which class owns the lock, and it is none of the others."""
    code, _, err = stages("fleet", *given)
    assert code == USAGE_ERROR
    assert "--classes: expected Ray resources" in err
