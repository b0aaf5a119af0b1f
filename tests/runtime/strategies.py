"""Manifests, hosts and policies for property tests, from the fixture's real manifest."""

from typing import Any

import msgspec
from hypothesis import strategies as st

from artificer.manifest import (
    Benchmark,
    BenchmarkRow,
    BenchmarkSubject,
    Device,
    Host,
    Manifest,
    Parity,
    Quality,
    Variant,
)
from artificer.manifest.isa_classes import X86_CLASSES
from artificer.selection.policy import Policy

ISA_CLASSES = (*X86_CLASSES, "arm64", "arm64_dotprod_i8mm")
replace = msgspec.structs.replace
GPU = "nvidia-h100"
ISA = ("avx2", "avx512", "avx512_vnni", "avx512_bf16", "arm64", "x86-64")


@st.composite
def hosts(draw: st.DrawFn) -> Host:
    """Any machine: any sets, any runtimes, old or new."""
    versions = st.sampled_from(["1.32.0", "2026.4.1", "1.10.0", "2024.1.0"])
    return Host(
        name="drawn",
        architecture=draw(st.sampled_from(["x86_64", "arm64"])),
        cpu_model=draw(st.sampled_from(["Intel Xeon", "AMD EPYC"])),
        isa=tuple(sorted(draw(st.sets(st.sampled_from(ISA))))),
        isa_class=draw(st.sampled_from(ISA_CLASSES)),
        cores=draw(st.integers(1, 64)),
        accelerators=draw(st.sampled_from([(), ("NVIDIA H100",)])),
        runtimes=draw(st.dictionaries(st.sampled_from(["onnxruntime", "openvino", "onnxruntime-gpu"]), versions)),
    )


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """Any policy."""
    return Policy(
        objective=draw(st.sampled_from(["latency", "throughput", "size"])),
        accuracy=draw(st.sampled_from(["near", "exact", "any"])),
        quality_floor=draw(st.none() | st.floats(0.9, 1.1)),
        memory_ceiling_bytes=draw(st.none() | st.integers(0, 400 << 20)),
        runtime=draw(st.sampled_from([None, None, "onnx", "openvino"])),
        device=draw(st.sampled_from([None, None, "cpu", "cuda"])),
    )


@st.composite
def manifests(draw: st.DrawFn, base: Manifest) -> Manifest:
    """`base` with drawn proofs, qualities and benchmarks."""
    variants = tuple(draw(_variants(each)) for each in base.variants)
    return replace(base, variants=variants, benchmarks=tuple(draw(st.lists(_benchmarks(base), max_size=3))))


@st.composite
def _variants(draw: st.DrawFn, base: Variant) -> Variant:
    if base.status != "passed":
        return base
    template = base.parity[0]
    drawn: list[Parity] = draw(
        st.lists(
            st.builds(
                lambda where, precision, verdict: replace(
                    template, device=where[0], isa_class=where[1], execution_precision=precision, verdict=verdict,
                    reasons=("too far",),
                ),
                st.sampled_from([*(("cpu", name) for name in ISA_CLASSES), ("cuda", GPU), ("cuda", "nvidia-l4")]),
                st.sampled_from(["f32", "bf16"]), st.sampled_from(["passed", "failed"]),
            ),
            max_size=4,
        )
    )  # fmt: skip
    quality: Any = st.builds(
        Quality, main_metric=st.just("spearman"), metrics=st.just({"spearman": 0.9}), ratio=st.floats(0.9, 1.1),
    )  # fmt: skip
    parity = (replace(template, isa_class="elsewhere"), *drawn)
    return replace(base, parity=parity, quality=draw(st.none() | quality))


DEVICES: tuple[tuple[Device, ...], ...] = ((), ("cpu",), ("cpu", "cuda"), ("cuda",))


@st.composite
def _benchmarks(draw: st.DrawFn, base: Manifest) -> Benchmark:
    speeds = st.floats(1, 1000)

    def row(size: int) -> BenchmarkRow:
        return BenchmarkRow(
            workload="w", batch_size=size, inputs_per_second=draw(speeds), p50_ms=draw(speeds), p95_ms=1, p99_ms=1,
            speedup=1,
        )  # fmt: skip

    subjects = tuple(
        BenchmarkSubject(
            id=each.id, digest=each.digest, execution_precision="f32", load_seconds=1, peak_memory_bytes=100 << 20,
            size_bytes=1, rows=(row(1), row(32)), device=device,
        )
        for each in base.variants
        for device in draw(st.sampled_from(DEVICES))
    )  # fmt: skip
    return Benchmark(host=draw(hosts()), preset="drawn", threads=1, rounds=1, subjects=subjects)
