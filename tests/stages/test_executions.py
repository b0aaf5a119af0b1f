"""What `parity` measures of a variant: each execution that its backend offers, and workarounds where one failed."""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from artificer.manifest import MANIFEST_FILE, Manifest, canonical_json
from artificer.proving.length_probe import Asked, ask_lengths
from artificer.proving.length_texts import lengths_to_ask, texts_of_lengths
from artificer.proving.measurement import LengthTexts
from artificer.selection.policy import Policy
from artificer.selection.select import select
from stages.benchmarking import subjects
from stages.core import files, paths
from stages.core.params import load_params
from stages.measuring import variant_parity
from stages.measuring.executions import Execution
from stages.measuring.expected import load_expected
from stages.records.model_spec import load_spec
from stages.records.open_tokenizer import open_tokenizer
from stages.records.parity_records import load_parity
from stages.records.reference_outputs import load_reference
from tests.mean_session import Fault, MeanSession
from tests.stages.conftest import Stages
from tests.stages.fabricated import HOST, PAIRS, SLUG, Fabricated, tighten

replace = msgspec.structs.replace
BF16_HOST = replace(HOST, isa=("avx2", "avx512", "avx512_bf16"))
LIMITS: dict[str, float | None] = {"score_max_abs": 0.05, "score_mean_abs": 0.05, "quality_ratio": 0.98}
INPUTS = MeanSession.input_names


def right(_: int, logits: Any) -> Any:
    """No fault."""
    return logits


def wrong_at_29_to_32(width: int, logits: Any) -> Any:
    """As OpenVINO's fused attention was."""
    return logits + np.float32(5.0) if 29 <= width <= 32 else logits


def wrong(_: int, logits: Any) -> Any:
    """Everywhere."""
    return logits + np.float32(5.0)


@pytest.fixture
def built(root: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A built model whose reference is a session without a fault, on a CPU with bf16."""
    for name in ("fp32", "half", "int8"):
        tighten(root, name, **LIMITS)
    Fabricated().write(root, tiny)
    files.write_file(paths.HOST, canonical_json(BF16_HOST))
    monkeypatch.setattr("artificer.host.detect", lambda: BF16_HOST)
    spec = load_spec(SLUG)
    tokenizer = open_tokenizer(spec, INPUTS)

    def logits(texts: list[tuple[str, str]]) -> tuple[tuple[float, ...], ...]:
        encoded = tokenizer.encode(texts)
        rows = [MeanSession().run(tokenizer.batch(encoded, [i]))[0] for i in range(len(encoded))]
        return tuple(tuple(float(value) for value in row) for row in rows)

    pairs = [(pair.query, pair.passage) for pair in PAIRS]
    found = texts_of_lengths(tokenizer, pairs, lengths_to_ask(40, up_to=512, tokens=1))
    lengths = LengthTexts(
        texts=tuple(text for text, _ in found),
        lengths=tuple(length for _, length in found),
        outputs=logits([text for text, _ in found]),
    )
    reference = replace(load_reference(SLUG), logits=logits(pairs), lengths=lengths)
    files.write_file(paths.reference(SLUG), canonical_json(reference))
    return root


def run_with(monkeypatch: pytest.MonkeyPatch, first: dict[str, Fault], second: dict[str, Fault] | None = None) -> None:
    """Let executions answer with faults, by label; in a second process with those of `second`."""

    def open_execution(graph: Path, row: Any, host: Any, execution: Execution, output: str) -> MeanSession:  # noqa: ARG001
        return MeanSession(first.get(execution.label(row.id), right))

    def ask_again(slug: str, variant_id: str, execution: Execution) -> Asked:
        spec = load_spec(slug)
        expected = load_expected(spec, load_params().parity, 1)
        faults = first if second is None else second
        session = MeanSession(faults.get(execution.label(variant_id), right))
        return ask_lengths(session, open_tokenizer(spec, INPUTS), expected, "second")

    monkeypatch.setattr(variant_parity, "open_execution", open_execution)
    monkeypatch.setattr(variant_parity, "ask_again", ask_again)
    monkeypatch.setattr(
        "stages.measuring.executions._default_precision",
        lambda _, row, __: "bf16" if row.backend == "openvino" else "f32",
    )


def labels(variant_id: str) -> list[str]:
    """What is measured of a variant, in order."""
    return [each.label(variant_id) for each in variant_parity.measure_variant(SLUG, variant_id).measurements]


@pytest.mark.usefixtures("built")
def test_every_precision_that_the_backend_offers_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variant's own first; no workaround where nothing failed; the runtime's default is marked."""
    run_with(monkeypatch, {})
    found = variant_parity.measure_variant(SLUG, "openvino").measurements
    assert [each.label("openvino") for each in found] == ["openvino", "openvino in bf16"]
    assert [each.default_precision for each in found] == [False, True]
    assert all(each.metrics["length_score_max_abs"] == 0.0 for each in found)
    assert labels("onnx") == ["onnx"]


@pytest.mark.usefixtures("built")
def test_a_workaround_is_measured_where_a_length_fails_and_the_lengths_are_named(
    stages: Stages, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through evaluation and judging to what a service would run, and what the benchmark times."""
    workaround = "openvino-qint8 in bf16, SNIPPETS_MODE=DISABLE"
    run_with(monkeypatch, {"openvino-qint8 in bf16": wrong_at_29_to_32})
    assert stages("parity", SLUG)[0] == 0
    found = load_parity(SLUG)["openvino-qint8"].measurements
    assert [each.label("openvino-qint8") for each in found] == [
        "openvino-qint8", "openvino-qint8 in bf16", workaround,
    ]  # fmt: skip
    assert [each.faulty_lengths for each in found] == [(), ((29, 32),), ()]
    assert stages("evaluate", SLUG)[0] == 0
    assert stages("pack", SLUG)[0] == 0
    manifest = Manifest.from_json((paths.package(SLUG) / MANIFEST_FILE).read_bytes())
    variant = manifest.variant("openvino-qint8")
    assert [each.verdict for each in variant.parity] == ["passed", "failed", "passed"]
    assert "29-32 tokens" in variant.parity[1].reasons[0]
    assert all("quality_ratio" in each.metrics for each in variant.parity)
    choice = select(manifest, BF16_HOST, Policy(accuracy="any"), "openvino-qint8")
    assert {each.label for each in choice.executions} == {"openvino-qint8", workaround}
    timed = [each.label for each in subjects.timed_subjects(SLUG, load_spec(SLUG), BF16_HOST)]
    assert workaround in timed
    assert "openvino-qint8 in bf16" not in timed
    assert "openvino in bf16" in timed


@pytest.mark.usefixtures("built")
def test_a_variant_passes_by_a_workaround_in_its_own_precision(stages: Stages, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its first record says what failed; the runtime runs the one that passed."""
    run_with(monkeypatch, {"openvino": wrong_at_29_to_32, "openvino in bf16": wrong})
    assert stages("parity", SLUG)[0] == 0
    assert stages("evaluate", SLUG)[0] == 0
    assert stages("pack", SLUG)[0] == 0
    manifest = Manifest.from_json((paths.package(SLUG) / MANIFEST_FILE).read_bytes())
    assert manifest.variant("openvino").status == "passed"
    assert select(manifest, BF16_HOST, variant="openvino").best.label == "openvino in f32, SNIPPETS_MODE=DISABLE"


@pytest.mark.usefixtures("built")
def test_an_execution_that_is_wrong_in_a_second_process_fails(stages: Stages, monkeypatch: pytest.MonkeyPatch) -> None:
    """With and without the workaround: it is given up, and the variant's own precision remains."""
    faults: dict[str, Fault] = {"openvino in bf16": wrong, "openvino in bf16, SNIPPETS_MODE=DISABLE": wrong}
    run_with(monkeypatch, {}, faults)
    assert stages("parity", SLUG)[0] == 0
    assert stages("evaluate", SLUG)[0] == 0
    assert stages("pack", SLUG)[0] == 0
    variant = Manifest.from_json((paths.package(SLUG) / MANIFEST_FILE).read_bytes()).variant("openvino")
    assert [each.verdict for each in variant.parity] == ["passed", "failed", "failed"]
    assert any("process_score_max_abs" in reason for reason in variant.parity[1].reasons)


@pytest.mark.usefixtures("built")
def test_a_variant_whose_own_precision_does_not_run_has_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor by a workaround: the first reason is the variant's."""

    def refuse(*_: object) -> MeanSession:
        raise RuntimeError("no such operator")

    run_with(monkeypatch, {})
    monkeypatch.setattr(variant_parity, "open_execution", refuse)
    found = variant_parity.measure_variant(SLUG, "openvino")
    assert found.error == "RuntimeError: no such operator"
    assert not found.measurements
