"""The builder on a machine with a GPU, told from a host file: what it measures there, and what becomes of it."""

from pathlib import Path

import msgspec
import pytest

from artificer.manifest import MANIFEST_FILE, Host, Manifest, canonical_json
from stages.benchmarking import subjects
from stages.core import files, paths
from stages.core.variants import row
from stages.measuring.executions import executions
from stages.packaging import summary
from stages.records import model_spec
from stages.records.parity_records import VariantParity, load_parity
from stages.records.variant_record import load_record
from tests.stages import fabricated
from tests.stages.conftest import Stages
from tests.stages.fabricated import HOST, SLUG, Fabricated

replace = msgspec.structs.replace
GPU_HOST = replace(
    HOST,
    name=f"{HOST.name}-nvidia-h100",
    accelerators=("NVIDIA H100",),
    runtimes=HOST.runtimes | {"onnxruntime-gpu": "1.31.1"},
)
ON_GPU = ["onnx", "onnx-O1", "onnx-O2", "onnx-O3", "onnx-O4"]


@pytest.fixture
def built(root: Path, tiny: Path) -> Path:
    """A built model with made-up figures, in the working directory."""
    Fabricated().write(root, tiny)
    return root


@pytest.mark.usefixtures("built")
def test_a_gpu_adds_its_own_candidates() -> None:
    """Torch in three dtypes and the float graphs, beside the CPU's; int8 and OpenVINO stay on the CPU."""
    found = model_spec.load_spec(SLUG)
    on_cpu = subjects.timed_subjects(SLUG, found, HOST)
    assert {candidate.device for candidate in on_cpu} == {"cpu"}
    both = subjects.timed_subjects(SLUG, found, GPU_HOST)
    assert [c for c in both if c.device == "cpu"] == on_cpu
    assert [c.id for c in both if c.device == "cuda"] == [*subjects.TORCH_ROWS, *ON_GPU]
    assert len({candidate.label for candidate in both}) == len(both)
    without_package = replace(GPU_HOST, runtimes=HOST.runtimes)
    assert [c.id for c in subjects.timed_subjects(SLUG, found, without_package) if c.device == "cuda"] == [
        *subjects.TORCH_ROWS
    ]


def test_parity_is_measured_on_the_gpu_as_well() -> None:
    """After the CPU's own precisions, whose first decides over the variant."""
    graph = Path("a graph that no runtime opens")

    def of(variant_id: str, host: Host) -> list[tuple[str, bool, str]]:
        found = executions(graph, row(variant_id), host)
        return [(each.precision, each.is_default, each.device) for each in found if not each.is_workaround]

    assert of("onnx-O4", GPU_HOST) == [("f32", True, "cpu"), ("f32", True, "cuda")]
    assert of("onnx-O4", HOST) == [("f32", True, "cpu")]
    assert of("onnx-qint8-avx512", GPU_HOST) == [("f32", True, "cpu")]
    assert of("openvino", GPU_HOST) == [("f32", False, "cpu")]


def on_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the fabricated figures those of a GPU host, where onnx-O4 has failed on the GPU."""
    monkeypatch.setattr("artificer.host.detect", lambda: GPU_HOST)
    files.write_file(paths.HOST, canonical_json(GPU_HOST))
    found = list(load_parity(SLUG).values())
    files.write_file(paths.parity(SLUG), canonical_json([_with_gpu(each) for each in found]))
    records = [load_record(SLUG, each.id) for each in found]
    measured = Fabricated().benchmark(GPU_HOST, records)
    on_gpu = tuple(
        replace(s, device="cuda", rows=tuple(replace(r, speedup=90.0) for r in s.rows))
        for s in measured.subjects
        if s.id in ON_GPU or s.id.startswith("torch-")
    )
    files.write_file(paths.benchmark(SLUG), canonical_json(replace(measured, subjects=(*measured.subjects, *on_gpu))))


def _with_gpu(found: VariantParity) -> VariantParity:
    if found.id not in ON_GPU:
        return found
    worst = 5.0 if found.id == "onnx-O4" else 1e-6
    metrics = {**found.measurements[0].metrics, "score_max_abs": worst}
    more = replace(found.measurements[0], device="cuda", isa_class="nvidia-h100", metrics=metrics)
    return replace(found, measurements=(*found.measurements, more))


@pytest.mark.usefixtures("built")
def test_the_manifest_tells_the_gpus_figures_apart(stages: Stages, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variant that fails on the GPU is still the CPU's; each line of the table is of one device."""
    on_the_gpu(monkeypatch)
    code, _, err = stages("pack", SLUG)
    assert code == 0, err
    manifest = Manifest.from_json((paths.package(SLUG) / MANIFEST_FILE).read_bytes())
    proofs = {p.device: (p.isa_class, p.verdict) for p in manifest.variant("onnx-O4").parity}
    assert proofs == {"cpu": ("avx2", "passed"), "cuda": ("nvidia-h100", "failed")}
    assert manifest.variant("onnx-O4").status == "passed"
    lines = {line.id: line for line in summary.lines(manifest, manifest.benchmarks[0])}
    assert [name for name in lines if name.endswith(" on cuda")] == [
        f"{name} on cuda" for name in (*subjects.TORCH_ROWS, *ON_GPU)
    ]
    assert lines["onnx-O2 on cuda"].status == "passed"
    assert lines["onnx-O2 on cuda"].speedup == pytest.approx(90.0)
    assert lines["onnx-O4 on cuda"].status == "failed"
    assert lines["onnx-O4"].status == "passed"
    assert lines["onnx-O4"].speedup != pytest.approx(90.0)
    assert lines["onnx-O2 on cuda"].quality_ratio is None
    assert stages("report")[0] == 0
    assert "| onnx-O2 on cuda | passed | 90.00x |" in paths.LEADERBOARD.read_text()


@pytest.mark.usefixtures("built")
def test_figures_of_a_cpu_are_written_as_before(stages: Stages) -> None:
    """A device that is the CPU's is not written: manifests without a GPU keep their bytes."""
    assert stages("pack", SLUG)[0] == 0
    assert b'"device"' not in (paths.package(SLUG) / MANIFEST_FILE).read_bytes()
    assert fabricated.HOST.accelerators == ()
