import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from artificer import host
from artificer.errors import SelectionError
from artificer.manifest import BenchmarkSubject, Host, Manifest, Rank, RequestRow
from artificer.selection.policy import Policy
from artificer.selection.release_numbers import at_least
from artificer.selection.select import select
from tests.runtime import strategies

replace = msgspec.structs.replace
shared = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@shared
@given(data=st.data(), drawn=strategies.hosts(), policy=strategies.policies())
def test_whatever_is_chosen_is_proven_here(
    manifest: Manifest, data: st.DataObject, drawn: Host, policy: Policy
) -> None:
    """Every candidate meets every condition, and every other variant has a reason."""
    made = data.draw(strategies.manifests(manifest))
    try:
        choice = select(made, drawn, policy)
    except SelectionError as error:
        unnamed = [variant.id for variant in made.variants if variant.id not in str(error)]
        choice = None
    if choice is None:
        assert not unnamed
        return
    labels = [each.label for each in choice.executions]
    assert len(set(labels)) == len(labels)
    assert set(labels).isdisjoint(choice.rejected)
    named = {re.split(" in | on ", label)[0] for label in [*labels, *choice.rejected]}
    assert named == {variant.id for variant in made.variants}
    assert all(reasons and all(reasons) for reasons in choice.rejected.values())
    for each in choice.executions:
        variant = each.variant
        assert variant.status == "passed"
        assert each.device in ((policy.device,) if policy.device else ("cpu", "cuda"))
        assert each.parity.device == each.device
        if each.device == "cuda":
            assert drawn.accelerators
            assert each.parity.isa_class == host.gpu_class(drawn.accelerators) == strategies.GPU
            assert (variant.runtime, variant.precision_class == "int8") == ("onnx", False)
            assert at_least(drawn.runtimes["onnxruntime-gpu"], ".".join(each.parity.runtime_version.split(".")[:2]))
            assert policy.device or each.measured
        else:
            package = ("onnxruntime", "openvino")[variant.runtime == "openvino"]
            assert at_least(drawn.runtimes[package], variant.minimum_runtime_version)
            assert set(variant.requires_isa) <= set(drawn.isa)
        assert each.parity.verdict == "passed"
        assert each.parity.execution_precision == each.precision or variant.runtime == "onnx"
        assert each.precision == "f32" or "avx512_bf16" in drawn.isa
        assert each.settings in ({}, {"SNIPPETS_MODE": "DISABLE"})
        if variant.precision_class == "int8" or each.precision != "f32":
            assert (each.parity.device, each.parity.isa_class) == ("cpu", drawn.isa_class)
        if policy.accuracy == "exact":
            assert (variant.precision_class, each.precision) == ("fp32", "f32")
        if policy.accuracy == "near" and variant.precision_class == "int8":
            assert variant.quality is not None
            assert variant.quality.ratio >= (each.parity.thresholds["quality_ratio"] or 0.0)
        if policy.quality_floor is not None:
            assert variant.quality is not None
            assert variant.quality.ratio >= policy.quality_floor


@shared
@given(data=st.data(), drawn=strategies.hosts(), policy=strategies.policies())
def test_selection_depends_on_nothing_but_its_arguments(
    manifest: Manifest, data: st.DataObject, drawn: Host, policy: Policy
) -> None:
    """The same question has the same answer; and a variant can be forced exactly if it is a candidate."""
    made = data.draw(strategies.manifests(manifest))
    try:
        choice = select(made, drawn, policy)
    except SelectionError as error:
        unnamed = [variant.id for variant in made.variants if variant.id not in str(error)]
        choice = None
    if choice is None:
        assert not unnamed
        return
    assert select(made, drawn, policy) == choice
    for each in choice.executions:
        assert select(made, drawn, policy, each.variant.id).best.variant == each.variant
        assert select(made, drawn, policy, each.full_label).executions == (each,)
    free = replace(policy, accuracy="any") if policy.accuracy == "near" else policy
    try:
        admitted = {each.variant.id for each in select(made, drawn, free).executions}
    except SelectionError:
        admitted = set()
    for variant in made.variants:
        if variant.id not in admitted:
            with pytest.raises(SelectionError, match="was requested, but"):
                select(made, drawn, policy, variant.id)


@shared
@given(data=st.data(), drawn=strategies.hosts())
def test_a_stricter_policy_never_admits_more(manifest: Manifest, data: st.DataObject, drawn: Host) -> None:
    """Asking for exact scores, a floor or a ceiling only takes away."""
    made = data.draw(strategies.manifests(manifest))

    def admitted(policy: Policy) -> set[str]:
        try:
            return {each.label for each in select(made, drawn, policy).executions}
        except SelectionError:
            return set()

    assert admitted(Policy(accuracy="exact")) <= admitted(Policy()) <= admitted(Policy(accuracy="any"))
    free = Policy()
    for strict in (Policy(quality_floor=1.0), Policy(memory_ceiling_bytes=1 << 20)):
        assert admitted(strict) <= admitted(free)


def test_the_fastest_measured_variant_wins(proven: Manifest, here: Host) -> None:
    """With figures of this host class, they decide, not the flowchart."""
    choice = select(proven, here)
    assert choice.best.variant.id == "openvino-qint8"
    assert choice.basis == "best measured throughput on amd-epyc-avx512_vnni-2c"


def test_figures_of_other_bytes_are_ignored(proven: Manifest, here: Host) -> None:
    """A benchmark of a variant with another digest says nothing about this one: it goes behind the measured."""
    (benchmark,) = proven.benchmarks
    subjects = tuple(replace(s, digest="0" * 64) if s.id == "openvino-qint8" else s for s in benchmark.subjects)
    other = replace(proven, benchmarks=(replace(benchmark, subjects=subjects),))
    choice = select(other, here)
    assert choice.best.variant.id == "onnx-qint8-avx512_vnni"
    assert [each.variant.id for each in choice.executions if each.measured is None][-1] == "openvino-qint8"


@pytest.mark.parametrize(
    ("policy", "cpu", "first"),
    [
        (Policy(), "AMD EPYC", "openvino-qint8"),
        (Policy(accuracy="exact"), "Intel Xeon", "openvino"),
        (Policy(accuracy="exact"), "AMD EPYC", "onnx-O2"),
        (Policy(objective="size"), "AMD EPYC", "onnx-qint8-avx512"),
        (Policy(runtime="onnx"), "AMD EPYC", "onnx-qint8-avx512_vnni"),
    ],
)
def test_without_a_near_host_the_flowchart_decides(
    proven: Manifest, here: Host, policy: Policy, cpu: str, first: str
) -> None:
    """The order of sentence-transformers' flowchart for CPUs."""
    choice = select(replace(proven, benchmarks=()), replace(here, cpu_model=cpu), policy)
    if policy.objective == "size":
        sizes = [each.variant.size_bytes for each in choice.executions]
        assert sizes == sorted(sizes)
    else:
        assert choice.best.variant.id == first
        assert "flowchart" in choice.basis


LOSSY = ("openvino-qint8", "onnx-qint8-avx512_vnni", "onnx-qint8-avx512", "onnx-quint8-avx2")
INTEL = (*LOSSY, "openvino", "onnx-O2", "onnx", "onnx-O1", "onnx-O3", "onnx-O4")
AMD = (*LOSSY, "onnx-O2", "onnx", "onnx-O1", "openvino", "onnx-O3", "onnx-O4")


STORED = Path(__file__).parents[1] / "data" / "manifest-1.0-demo.json"
MEASURED = (
    "openvino-qint8", "onnx-qint8-avx512_vnni", "onnx-qint8-avx512", "openvino", "onnx-O1", "onnx-O3", "onnx-O2",
    "onnx-quint8-avx2", "onnx", "onnx-O4",
)  # fmt: skip


@pytest.mark.parametrize(("cpu", "order"), [("Intel Xeon", INTEL), ("AMD EPYC", AMD)])
def test_a_manifest_of_schema_1_is_chosen_from_as_before(here: Host, cpu: str, order: tuple[str, ...]) -> None:
    """The published demo of 0.1.0, without figures of a near host and with them."""
    stored = Manifest.from_json(STORED.read_bytes())
    machine = replace(here, cpu_model=cpu)
    assert tuple(each.label for each in select(replace(stored, benchmarks=()), machine).executions) == order
    found = select(stored, machine)
    assert found.basis == "best measured throughput on amd-epyc-avx512_vnni-2c"
    assert tuple(each.label for each in found.executions) == MEASURED


@pytest.mark.parametrize(("cpu", "order"), [("Intel Xeon", INTEL), ("AMD EPYC", AMD)])
def test_ranks_give_the_flowcharts_order(proven: Manifest, here: Host, cpu: str, order: tuple[str, ...]) -> None:
    """All executions of the demo's variants, from the manifest's ranks alone; equal ranks keep the manifest's order."""
    unmeasured = replace(proven, benchmarks=())
    machine = replace(here, cpu_model=cpu)
    assert tuple(each.label for each in select(unmeasured, machine).executions) == order
    equal = tuple(replace(v, rank=Rank(cpu=1, intel=1, cuda=1)) for v in unmeasured.variants)
    found = [each.label for each in select(replace(unmeasured, variants=equal), machine).executions]
    assert found == [v.id for v in proven.variants if v.id in order]


def test_selection_imports_neither_a_tokenizer_nor_a_runtime() -> None:
    """The builder and tools ask for figures of speed and choices without what computes scores."""
    heavy = "{'numpy', 'tokenizers', 'onnxruntime', 'openvino'}"
    code = f"import sys, artificer.selection.select; print(*sorted({heavy} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


def test_int8_needs_a_proof_on_this_isa_class(proven: Manifest, here: Host) -> None:
    """On a CPU without VNNI the int8 proof of a CPU with it is worth nothing; the fp32 proof is."""
    older = replace(here, isa=("avx2", "x86-64"), isa_class="avx2")
    choice = select(proven, older)
    assert choice.best.variant.precision_class != "int8"
    assert choice.rejected["openvino-qint8"] == ("no passed parity on avx2 in f32 (passed: avx512_vnni in f32)",)
    assert choice.rejected["onnx-qint8-avx512_vnni"][0] == "this CPU has no avx512_vnni"


def test_a_failed_proof_here_outweighs_a_passed_one_elsewhere(proven: Manifest, here: Host) -> None:
    """A variant that missed its thresholds on this ISA class is not run on it."""
    plain = proven.variant("onnx")
    failed = replace(plain.parity[0], verdict="failed", reasons=("score_max_abs 0.2 above 0.01",))
    passed = replace(plain.parity[0], isa_class="avx2")
    variants = tuple(replace(v, parity=(passed, failed)) if v.id == "onnx" else v for v in proven.variants)
    choice = select(replace(proven, variants=variants), here)
    assert choice.rejected["onnx"] == ("it failed parity on avx512_vnni in f32: score_max_abs 0.2 above 0.01",)


def with_records(proven: Manifest, variant_id: str, *records: dict[str, Any], **changes: Any) -> Manifest:
    """The manifest with other records of one variant, each from its first, with what it says otherwise."""
    (first, *_) = proven.variant(variant_id).parity
    first = replace(first, metrics=first.metrics | {"length_score_max_abs": 0.0})
    made = replace(proven.variant(variant_id), parity=tuple(replace(first, **each) for each in records), **changes)
    return replace(proven, variants=tuple(made if v.id == variant_id else v for v in proven.variants))


BF16 = {"execution_precision": "bf16"}
NO_SNIPPETS = {"settings": {"SNIPPETS_MODE": "DISABLE"}}
FAILED = {"verdict": "failed", "reasons": ("length_score_max_abs is 0.87, at most 0.25 (29-32 tokens)",)}


def test_a_variant_made_for_bf16_is_executed_in_bf16_or_not_at_all(proven: Manifest, here: Host) -> None:
    """Its first record says so: a CPU without bf16 rejects it, and exact scores exclude it."""
    manifest = with_records(proven, "openvino", BF16, precision_class="half", requires_isa=("avx512_bf16",))
    assert select(manifest, here, Policy(), "openvino").best.precision == "bf16"
    old = replace(here, isa=("avx2", "avx512", "avx512_vnni"))
    with pytest.raises(SelectionError, match="this CPU has no avx512_bf16"):
        select(manifest, old, Policy(), "openvino")
    with pytest.raises(SelectionError, match="exact scores were requested"):
        select(manifest, here, Policy(accuracy="exact"), "openvino")


def test_bf16_is_chosen_where_it_is_proven_measured_as_faster_and_offered(proven: Manifest, here: Host) -> None:
    """No option is needed; exact scores, a CPU without it, or a proof on another class exclude it."""
    manifest = with_records(proven, "openvino", {}, BF16)
    (benchmark,) = manifest.benchmarks
    (subject,) = (each for each in benchmark.subjects if each.id == "openvino")
    rows = tuple(replace(row, inputs_per_second=1e6) for row in subject.rows)
    faster = replace(subject, execution_precision="bf16", rows=rows)
    manifest = replace(manifest, benchmarks=(replace(benchmark, subjects=(*benchmark.subjects, faster)),))
    assert select(manifest, here).best.label == "openvino in bf16"
    assert select(manifest, here, variant="openvino in f32").best.precision == "f32"
    assert select(manifest, here, Policy(accuracy="exact"), "openvino").best.precision == "f32"
    other = replace(here, isa=("avx2", "avx512", "avx512_vnni"))
    choice = select(manifest, other)
    assert choice.rejected["openvino in bf16"] == ("openvino does not offer bf16 on this machine",)
    elsewhere = with_records(manifest, "openvino", {}, BF16 | {"isa_class": "avx512"})
    assert select(elsewhere, here).rejected["openvino in bf16"] == (
        "no passed parity on avx512_vnni in bf16 (passed: avx512 in bf16)",
    )


def test_a_workaround_is_run_where_the_runtimes_own_way_failed(proven: Manifest, here: Host) -> None:
    """It has a label of its own, and the failed record's reason names what failed."""
    manifest = with_records(proven, "openvino", FAILED, NO_SNIPPETS)
    choice = select(manifest, here, variant="openvino")
    assert choice.best.label == "openvino in f32, SNIPPETS_MODE=DISABLE"
    assert choice.best.settings == {"SNIPPETS_MODE": "DISABLE"}
    assert "29-32 tokens" in choice.rejected["openvino"][0]


def test_settings_that_this_release_does_not_know_are_never_used(proven: Manifest, here: Host) -> None:
    """A manifest cannot set any property of a runtime: only what is in the backend's table."""
    unknown = {"settings": {"PLUGIN_PATH": "/tmp/evil.so"}}
    manifest = with_records(proven, "openvino", {}, unknown)
    assert select(manifest, here, variant="openvino").best.settings == {}
    assert select(manifest, here).rejected["openvino in f32, PLUGIN_PATH=/tmp/evil.so"] == (
        "this release does not know the settings PLUGIN_PATH=/tmp/evil.so: a newer one may",
    )


def test_int8_needs_a_measured_quality_unless_it_is_named(proven: Manifest, here: Host) -> None:
    """`near` refuses it with the way out; to name the variant is permission, and so is `any`."""
    unjudged = replace(proven.variant("openvino-qint8"), quality=None)
    manifest = replace(proven, variants=tuple(unjudged if v.id == unjudged.id else v for v in proven.variants))
    choice = select(manifest, here)
    assert choice.best.variant.id != "openvino-qint8"
    assert choice.rejected["openvino-qint8"] == (
        "it is int8 and its quality was not measured: pass accuracy='any' to use it",
    )
    assert select(manifest, here, Policy(accuracy="any")).best.variant.id == "openvino-qint8"
    assert select(manifest, here, variant="openvino-qint8").best.variant.id == "openvino-qint8"


def test_a_forced_variant_that_is_not_admissible_is_refused_with_the_reason(proven: Manifest, here: Host) -> None:
    """The whole text of the error."""
    with pytest.raises(SelectionError) as caught:
        select(proven, replace(here, runtimes={"onnxruntime": "1.32.0"}), variant="openvino")
    assert str(caught.value) == (
        "fixture: openvino was requested, but openvino is not installed: pip install 'artificer[openvino]'."
    )


def test_an_old_runtime_is_refused(proven: Manifest, here: Host) -> None:
    """A version below the manifest's minimum rejects, with both versions named."""
    choice = select(proven, replace(here, runtimes={"onnxruntime": "1.19.2", "openvino": "2026.4.1"}))
    assert choice.rejected["onnx"] == ("it needs onnxruntime 1.20.0 or newer, found 1.19.2",)


def test_the_objective_changes_the_order(proven: Manifest, here: Host) -> None:
    """Latency goes by single requests, throughput by batches."""
    (benchmark,) = proven.benchmarks
    subjects = tuple(
        replace(s, rows=tuple(replace(row, p50_ms=1.0 if s.id == "onnx" else 5.0) for row in s.rows))
        for s in benchmark.subjects
    )
    made = replace(proven, benchmarks=(replace(benchmark, subjects=subjects),))
    assert select(made, here, Policy(objective="latency")).best.variant.id == "onnx"
    assert select(made, here, Policy(objective="throughput")).best.variant.id == "openvino-qint8"


def test_latency_goes_by_requests_of_new_lengths_where_they_were_measured(proven: Manifest, here: Host) -> None:
    """And not by texts that come again, for which a runtime that compiles for each shape has compiled."""
    (benchmark,) = proven.benchmarks

    def with_requests(subject: BenchmarkSubject) -> BenchmarkSubject:
        rows = tuple(replace(row, p50_ms=5.0 if subject.id == "onnx" else 1.0) for row in subject.rows)
        p50 = 2.0 if subject.id == "onnx" else 3.0
        single = RequestRow(inputs=1, p50_ms=p50, p95_ms=9.0)
        return replace(subject, rows=rows, requests=(RequestRow(inputs=10, p50_ms=9 - p50, p95_ms=9.0), single))

    subjects = tuple(map(with_requests, benchmark.subjects))
    made = replace(proven, benchmarks=(replace(benchmark, subjects=subjects),))
    assert select(made, here, Policy(objective="latency")).best.variant.id == "onnx"
    assert Manifest.from_json(made.to_json()) == made
    without = tuple(replace(each, requests=()) if each.id == "onnx-O2" else each for each in subjects)
    mixed = replace(proven, benchmarks=(replace(benchmark, subjects=without),))
    assert select(mixed, here, Policy(objective="latency")).best.variant.id != "onnx"


def test_this_machine_can_choose_among_what_was_built_on_it(manifest: Manifest) -> None:
    """The fixture was built here, so something is admissible here."""
    assert select(manifest, host.detect()).executions
