"""The building stages with the real toolchain: what becomes of each variant, and of a process that is killed."""

import contextlib
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from artificer.inference import scoring
from stages.building.build_step import UnsupportedError
from stages.running import preflight
from stages.toolchain.onnx import levels
from tests.stages import project
from tests.stages.conftest import Stages
from tests.stages.kill import kill_at
from tests.stages.project import PROVING_STAGES, SLUG, read_json, snapshot

pytestmark = pytest.mark.toolchain
MODEL = Path("artifacts/models", SLUG)


def record(root: Path, step: str, variant: str) -> Any:
    """A variant's variant.json."""
    return read_json(root / MODEL / "variants" / step / variant / "variant.json")


# stage, what it is about to do when it is killed, and what it writes
KILLS = [
    ("fetch", "open", "spec.json", ("source", "spec.json")),
    ("data", "os.rename", "workloads.json*", ("evaluation.jsonl", "calibration.jsonl", "workloads.json")),
    ("reference", "os.rename", "reference.json*", ("reference.json",)),
    ("export", "open", ".export.partial/openvino/variant.json", ("variants/export",)),
    ("optimize", "open", ".optimize.partial/onnx-O3/variant.json", ("variants/optimize",)),
    ("quantize_onnx", "os.rename", ".quantize_onnx.partial", ("variants/quantize_onnx",)),
    (
        "quantize_openvino",
        "os.rename",
        "openvino-qint8/attempts/0/openvino_model.bin",
        ("variants/quantize_openvino",),
    ),
    ("parity", "os.rename", "parity.json*", ("parity.json",)),
    ("evaluate", "os.rename", "quality.json*", ("quality.json",)),
]


@pytest.mark.parametrize(("stage", "event", "needle", "outs"), KILLS, ids=[kill[0] for kill in KILLS])
def test_a_killed_stage_ends_in_the_same_bytes_when_it_is_run_again(
    copy: Path, proven: Path, stage: str, event: str, needle: str, outs: tuple[str, ...]
) -> None:
    """kill -9 in the middle leaves nothing that a later stage could take for whole; the rerun writes what was there."""
    for out in outs:
        path = copy / MODEL / out
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    kill_at(copy, event, needle, stage, SLUG, code=copy)
    assert not (copy / MODEL / outs[-1]).exists()
    project.run(copy, stage)
    for out in outs:
        path, expected = copy / MODEL / out, proven / MODEL / out
        if path.is_dir():
            assert snapshot(path) == snapshot(expected)
        else:
            assert path.read_bytes() == expected.read_bytes(), out
    assert not list((copy / MODEL).rglob(".*.partial")) or stage in ("data", "reference", *PROVING_STAGES)


def in_session(session: int) -> list[str]:
    """The processes of a session that are no zombies, as /proc lists them."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, _, number = path.read_text().rpartition(")")[2].split()[:4]
            if int(number) == session and state != "Z":
                found.append(path.parent.name)
    return found


def is_worker(process: str) -> bool:
    """Whether it is a subject's process: no other one is spawned."""
    with contextlib.suppress(OSError):
        return b"multiprocessing.spawn" in Path("/proc", process, "cmdline").read_bytes()
    return False


def test_a_killed_benchmark_leaves_no_process_and_no_figures(copy: Path) -> None:
    """Only the parent is killed; its workers notice and go, and the next run measures as if nothing had been."""
    path = copy / MODEL / "spec.json"
    path.write_text(json.dumps({**read_json(path), "variants": ["onnx"]}))
    process = subprocess.Popen(
        [sys.executable, "-m", "stages", "benchmark", SLUG],
        cwd=copy,
        env=project.environment(copy),
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while sum(map(is_worker, in_session(process.pid))) < 2:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 120
    while in_session(process.pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert not (copy / MODEL / "benchmark.json").exists()
    assert not (copy / "registry/benchmarks" / SLUG).exists()


def test_what_a_stage_records_of_a_variant(proven: Path) -> None:
    """Recipe, tools, inputs, opset and hashes of every variant, without a path of the machine."""
    for stage in ("export", "optimize", "quantize_onnx", "quantize_openvino"):
        for folder in (proven / MODEL / "variants" / stage).iterdir():
            found = read_json(folder / "variant.json")
            assert (found["id"], found["status"], found["reason"]) == (folder.name, "built", None)
            assert sorted(found["inputs"]) == ["attention_mask", "input_ids", "token_type_ids"]
            assert (found["opset"] is None) == ("openvino" in folder.name)
            assert {entry["path"] for entry in found["files"]} == {p.name for p in folder.iterdir()} - {"variant.json"}
            assert "/tmp" not in (folder / "variant.json").read_text()
    assert record(proven, "quantize_openvino", "openvino-qint8")["recipe"]["calibration_rows"] == 16
    assert "optimised without a GPU" in record(proven, "optimize", "onnx-O4")["notes"][0]


def test_fp32_variants_are_within_1e_5_of_torch(proven: Path) -> None:
    """Scores of the plain export, O1, O2 and OpenVINO at f32 are torch's."""
    parity = {found["id"]: found for found in read_json(proven / MODEL / "parity.json")}
    assert len(parity) == 12
    for variant in ("onnx", "onnx-O1", "onnx-O2", "openvino"):
        figures = parity[variant]["measurements"][0]["metrics"]
        assert parity[variant]["measurements"][0]["execution_precision"] == "f32"
        assert figures["score_max_abs"] < 1e-5, variant
        assert figures["spearman"] > 0.9999, variant


@pytest.fixture
def one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variants are built in the stage's own process, where a test can break what builds them."""
    monkeypatch.setattr(preflight, "at_once", lambda *_: 1)


@pytest.mark.usefixtures("one_at_a_time")
def test_a_variant_that_breaks_is_recorded_and_the_others_go_on(
    copy: Path, stages: Stages, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One level that raises is `failed`, one that says it cannot is `unsupported`; both with their reason."""

    optimize_graph = levels.optimize_graph

    def break_some(parent: Path, target: Path, config: Any, settings: Any) -> None:
        if settings.optimization_level == 2 and not settings.enable_gelu_approximation:
            raise ValueError(f"cannot fuse {target.parent.resolve()}/model.onnx\nsecond line")
        if settings.fp16:
            raise NotImplementedError("fp16 is not for bert")
        if settings.enable_gelu_approximation:
            raise UnsupportedError("no gelu here")
        optimize_graph(parent, target, config, settings)

    monkeypatch.setattr("stages.toolchain.onnx.levels.optimize_graph", break_some)
    code, out, _ = stages("optimize", SLUG)
    assert code == 0
    outcomes = {v: record(copy, "optimize", v) for v in ("onnx-O1", "onnx-O2", "onnx-O3", "onnx-O4")}
    assert {v: (found["status"], found["reason"]) for v, found in outcomes.items()} == {
        "onnx-O1": ("built", None),
        "onnx-O2": ("failed", "ValueError: cannot fuse onnx-O2/model.onnx"),
        "onnx-O3": ("unsupported", "no gelu here"),
        "onnx-O4": ("unsupported", "NotImplementedError: fp16 is not for bert"),
    }
    for variant in ("onnx-O2", "onnx-O3", "onnx-O4"):
        assert [p.name for p in (copy / MODEL / "variants/optimize" / variant).iterdir()] == ["variant.json"]
        assert outcomes[variant]["files"] == []
    done = [line.split()[1] for line in out.splitlines() if line.startswith("onnx-O") and not line.endswith("…")]
    assert done == [
        "built",
        "failed",
        "unsupported",
        "unsupported",
    ]


def test_a_recipe_reaches_the_library(copy: Path, stages: Stages) -> None:
    """Overrides stand in the recipe that was used, and other variants keep theirs."""
    with project.edited(copy / "params.yaml") as params:
        params["recipes"]["optimize"] = {"onnx-O2": {"disable_gelu_fusion": True}}
        params["recipes"]["quantize_onnx"] = {"onnx-quint8-avx2": {"per_channel": True, "weights_dtype": "QInt8"}}
    assert stages("optimize", SLUG)[0] == 0
    assert record(copy, "optimize", "onnx-O1")["status"] == "built"
    assert record(copy, "optimize", "onnx-O2")["recipe"]["settings"]["disable_gelu_fusion"] is True
    assert record(copy, "optimize", "onnx-O3")["recipe"]["settings"]["disable_gelu_fusion"] is False
    assert stages("quantize_onnx", SLUG)[0] == 0
    recipe = record(copy, "quantize_onnx", "onnx-quint8-avx2")["recipe"]
    assert recipe["settings"]["weights_dtype"] == "QInt8"
    assert recipe["settings"]["per_channel"] is True


@pytest.mark.parametrize(
    ("stage", "recipes", "message"),
    [
        (
            "quantize_onnx",
            {"onnx-qint8-arm64": {"weight_dtype": "QInt8"}},
            "recipes.onnx-qint8-arm64.weight_dtype: unknown field",
        ),
        (
            "quantize_onnx",
            {"onnx-qint8-arm64": {"weights_dtype": "Int9"}},
            "recipes.onnx-qint8-arm64.weights_dtype: expected one of QInt8",
        ),
        ("optimize", {"onnx-O1": {"level": 3}}, "recipes.onnx-O1.level: unknown field"),
        ("optimize", {"onnx-O2": {"optimize_for_gpu": True}}, "recipes.onnx-O2.optimize_for_gpu: unknown field"),
        ("quantize_onnx", {"onnx-qint8-arm64": {"per_channel": "no"}}, "per_channel: expected a bool, found 'no'"),
        (
            "quantize_onnx",
            {"onnx-qint8-arm64": {"operators_to_quantize": "MatMul"}},
            "operators_to_quantize: expected a list, found 'MatMul'",
        ),
        ("quantize_openvino", {"openvino-qint8": {"speed": 3}}, "recipes.openvino-qint8.speed: unknown field"),
    ],
)
def test_a_mistaken_recipe_ends_the_stage(
    copy: Path, stages: Stages, stage: str, recipes: dict[str, Any], message: str
) -> None:
    """A field that no configuration has, or a value of another kind, is the user's mistake, not a variant's outcome."""
    with project.edited(copy / "params.yaml") as params:
        params["recipes"][stage] = recipes
    before = snapshot(copy / MODEL)
    code, _, err = stages(stage, SLUG)
    assert code == 3, err
    assert message in err
    assert snapshot(copy / MODEL) == before


@pytest.mark.usefixtures("copy", "one_at_a_time")
def test_a_plain_export_that_fails_ends_the_build(stages: Stages, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it there is no ONNX variant at all."""
    import torch

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("no such operator")

    monkeypatch.setattr(torch.onnx, "export", broken)
    code, _, err = stages("export", SLUG)
    assert code == 8
    assert "the ONNX export failed, and every ONNX variant needs it: no such operator" in err


def test_variants_of_a_missing_parent_say_so(copy: Path, stages: Stages) -> None:
    """Static int8 is made from the OpenVINO export; without that, its reason is the parent's."""
    path = copy / MODEL / "variants/export/openvino/variant.json"
    with_reason = path.read_text().replace('"status": "built"', '"status": "failed"')
    path.write_text(with_reason.replace('"reason": null', '"reason": "no operator X"'))
    assert stages("quantize_openvino", SLUG)[0] == 0
    found = record(copy, "quantize_openvino", "openvino-qint8")
    assert (found["status"], found["reason"]) == (
        "failed",
        "it is made from openvino, which was not built: no operator X",
    )


def test_a_graph_that_no_runtime_opens_is_a_failed_variant(copy: Path, stages: Stages) -> None:
    """A built file that cannot be run is found by `parity`, recorded, and not published."""
    (copy / MODEL / "variants/optimize/onnx-O1/model_O1.onnx").write_bytes(b"not a graph")
    assert stages("parity", SLUG)[0] == 0
    parity = {found["id"]: found for found in read_json(copy / MODEL / "parity.json")}
    assert parity["onnx-O1"]["measurements"] == []
    assert parity["onnx-O1"]["error"]
    assert str(copy) not in parity["onnx-O1"]["error"]
    assert parity["onnx-O2"]["error"] is None
    assert stages("evaluate", SLUG)[0] == 0
    assert "onnx-O1" not in read_json(copy / MODEL / "quality.json")["variants"]


def test_infinite_logits_are_an_outcome(copy: Path, stages: Stages, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variant that overflows, as half precision can, is recorded as broken and leaves no figures."""
    score_texts = scoring.score_texts
    calls = 0

    def overflow(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        found = score_texts(*arguments, **options)
        return found * np.inf if calls == 2 else found

    monkeypatch.setattr(scoring, "score_texts", overflow)
    assert stages("parity", SLUG)[0] == 0
    parity = {found["id"]: found for found in read_json(copy / MODEL / "parity.json")}
    assert parity["onnx-O1"]["error"] == "OverflowError: it returns infinite logits"
    assert (parity["onnx-O1"]["measurements"], parity["onnx-O1"]["logits"]) == ([], [])
    assert all(found["error"] is None for variant, found in parity.items() if variant != "onnx-O1")
    assert stages("evaluate", SLUG)[0] == 0
