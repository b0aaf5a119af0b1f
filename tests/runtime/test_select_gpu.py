"""Selection on a machine with a GPU: what is proven and measured there, and nothing else."""

from collections.abc import Callable

import msgspec
import pytest

from artificer import host
from artificer.errors import SelectionError
from artificer.manifest import Host, Manifest, Variant
from artificer.selection.policy import Policy
from artificer.selection.select import select

replace = msgspec.structs.replace
H100 = "NVIDIA H100"
L4 = "NVIDIA L4"


def on_gpu(machine: Host, name: str = H100, package: str | None = "1.31.1") -> Host:
    """The same machine with a GPU, and onnxruntime-gpu of that version."""
    runtimes = machine.runtimes | ({"onnxruntime-gpu": package} if package else {})
    return replace(machine, accelerators=(name,), runtimes=runtimes)


def proven_on_gpu(
    proven: Manifest, machine: Host, speeds: dict[str, float] | None = None, **changes: object
) -> Manifest:
    """As if the ONNX variants had passed on that machine's GPU too, with `speeds` in pairs/s where given."""

    def proof(variant: Variant) -> Variant:
        if variant.runtime != "onnx" or variant.precision_class == "int8" or not variant.parity:
            return variant
        name = host.gpu_class(machine.accelerators)
        record = replace(variant.parity[0], device="cuda", isa_class=name, runtime_version="1.31.1", **changes)
        return replace(variant, parity=(*variant.parity, record))

    (benchmark,) = proven.benchmarks
    timed = tuple(
        replace(s, device="cuda", rows=tuple(replace(row, inputs_per_second=speeds[s.id]) for row in s.rows))
        for s in benchmark.subjects
        if speeds and s.id in speeds
    )
    measured = replace(benchmark, host=machine, subjects=(*benchmark.subjects, *timed))
    return replace(proven, variants=tuple(proof(v) for v in proven.variants), benchmarks=(measured,))


def chosen(manifest: Manifest, machine: Host, **policy: object) -> str:
    """The best candidate, with its device."""
    return select(manifest, machine, Policy(**policy)).best.label  # type: ignore[arg-type]


def test_a_gpu_is_used_where_it_is_proven_and_measured_as_the_fastest(proven: Manifest, here: Host) -> None:
    """Its figures beside the CPU's decide, whichever way."""
    machine = on_gpu(here)
    fast = proven_on_gpu(proven, machine, {"onnx-O4": 9000, "onnx-O2": 5000})
    assert chosen(fast, machine) == "onnx-O4 on cuda"
    assert chosen(fast, machine, accuracy="exact") == "onnx-O2 on cuda"
    assert chosen(fast, machine, device="cpu") == "openvino-qint8"
    slow = proven_on_gpu(proven, machine, {"onnx-O4": 1})
    assert chosen(slow, machine) == "openvino-qint8"
    assert chosen(slow, machine, device="cuda") == "onnx-O4 on cuda"


def test_a_gpu_without_figures_is_used_when_it_is_asked_for(proven: Manifest, here: Host) -> None:
    """Left alone, selection does not guess; told to, it follows the flowchart: half precision first."""
    machine = on_gpu(here)
    made = proven_on_gpu(proven, machine)
    choice = select(made, machine)
    assert choice.best.label == "openvino-qint8"
    assert choice.rejected["onnx-O4 on cuda"] == (
        "its speed on this GPU was not measured beside the CPU's: pass device='cuda' to use it",
    )
    asked = select(made, machine, Policy(device="cuda"))
    assert [each.label for each in asked.executions] == [f"onnx-O{i} on cuda" for i in (4, 3, 2, 1)] + ["onnx on cuda"]
    assert asked.rejected["openvino"] == ("openvino runs on the CPU here",)
    assert "int8 graphs are made for CPUs" in asked.rejected["onnx-qint8-avx512_vnni"][0]


def test_a_proof_on_another_gpu_is_no_proof(proven: Manifest, here: Host) -> None:
    """Nor are that GPU's speeds this one's."""
    made = proven_on_gpu(proven, on_gpu(here), {"onnx-O4": 9000})
    other = on_gpu(here, L4)
    assert select(made, other).best.device == "cpu"
    with pytest.raises(
        SelectionError, match=r"no passed parity on nvidia-l4 in f32 or f16 or bf16 \(passed: nvidia-h100"
    ):
        select(made, other, Policy(device="cuda"))


def test_a_failed_proof_on_the_gpu_keeps_a_variant_off_it(proven: Manifest, here: Host) -> None:
    """On the CPU it may run all the same."""
    machine = on_gpu(here)
    made = proven_on_gpu(proven, machine, {"onnx-O4": 9000}, verdict="failed", reasons=("too far",))
    choice = select(made, machine)
    assert choice.best.device == "cpu"
    assert "onnx-O4" in [each.label for each in choice.executions]
    assert choice.rejected["onnx-O4 on cuda"][0] == "it failed parity on nvidia-h100 in f32: too far"


@pytest.mark.parametrize(
    ("machine", "reason"),
    [
        (lambda here: here, "this process sees no NVIDIA GPU"),
        (lambda here: on_gpu(here, package=None), r"onnxruntime-gpu is not installed: pip install 'artificer\[cuda\]'"),
        (lambda here: on_gpu(here, package="1.30.0"), "it needs onnxruntime-gpu 1.31 or newer, found 1.30.0"),
    ],
)
def test_cuda_that_cannot_be_had_is_refused_with_the_reason(
    proven: Manifest, here: Host, machine: Callable[[Host], Host], reason: str
) -> None:
    """Asked for by name, the GPU is no wish that falls back to the CPU in silence."""
    made = proven_on_gpu(proven, on_gpu(here), {"onnx-O4": 9000})
    with pytest.raises(SelectionError, match=reason):
        select(made, machine(here), Policy(device="cuda"), "onnx-O4")
    assert select(made, machine(here)).best.device == "cpu"


def test_speeds_of_another_preset_are_not_compared(proven: Manifest, here: Host) -> None:
    """Pairs a second of other texts say nothing about which device is faster."""
    machine = on_gpu(here)
    made = proven_on_gpu(proven, machine, {"onnx-O4": 9000})
    (both,) = made.benchmarks
    cpu = replace(both, subjects=tuple(s for s in both.subjects if s.device == "cpu"))
    gpu = replace(both, preset="other", subjects=tuple(s for s in both.subjects if s.device == "cuda"))
    assert select(replace(made, benchmarks=(cpu, gpu)), machine).best.device == "cpu"
    assert select(replace(made, benchmarks=(cpu, replace(gpu, preset=cpu.preset))), machine).best.device == "cuda"


def test_the_cpus_figures_hold_beside_a_gpu_too(proven: Manifest, here: Host) -> None:
    """A GPU in the machine takes nothing away from what was measured on such a CPU."""
    assert select(proven, on_gpu(here)).basis == "best measured throughput on amd-epyc-avx512_vnni-2c"
