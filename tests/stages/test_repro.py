"""The pipeline as users run it: `dvc repro` on a tiny model, with the real toolchain, in processes of its own."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from artificer.manifest import Manifest
from stages import pipeline
from stages.core.variants import DEFAULT_VARIANT_IDS
from tests.stages import project
from tests.stages.checkpoints import SIGMOID
from tests.stages.project import SLUG, dvc, edited, read_json, repro, snapshot

pytestmark = [
    pytest.mark.toolchain,
    # optimum and transformers, when sentence-transformers loads a backend
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
MODEL = Path("artifacts/models", SLUG)
VARIANTS = MODEL / "variants"
PUBLISHED = Path("dist/artificer", SLUG)
STAGES = tuple(row.name for row in pipeline.STAGES if row.scope == "model")


class Built:
    """A project that `dvc repro` has built, and what its two runs did."""

    def __init__(self, root: Path, second_run: list[str]):
        self.root = root
        self.second_run = second_run


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> Built:
    """`dvc repro`, killed with kill -9 while it exports, then run again to the end."""
    root = project.make_project(tmp_path_factory.mktemp("repro") / "project", {SLUG: tiny})
    for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
        subprocess.run(command, cwd=root, env=project.environment(root), check=True)
    for key in ("core.analytics", "core.check_update"):
        assert dvc(root, "config", key, "false").returncode == 0
    kill_repro(root, root / MODEL / "variants/.export.partial")
    return Built(root, repro(root))


@pytest.fixture
def copy(tmp_path: Path, built: Built) -> Path:
    """A copy of the built project with its DVC cache, for a test to change."""
    shutil.copytree(built.root, tmp_path / "copy", symlinks=True)
    return tmp_path / "copy"


def kill_repro(root: Path, sign: Path) -> None:
    """Start `dvc repro`, and kill it with all its children as soon as `sign` is there."""
    process = subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro"],
        cwd=root,
        env=project.environment(root),
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not sign.exists():
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


def manifest(root: Path) -> Manifest:
    """The published manifest."""
    return Manifest.from_json((root / PUBLISHED / "manifest.json").read_bytes())


def changed_stages(root: Path, slug: str = SLUG) -> set[str]:
    """The stages of a model that `dvc status` names."""
    done = dvc(root, "status", "--json")
    assert done.returncode == 0, done.stderr
    return {name.partition("@")[0] for name in json.loads(done.stdout) if name.endswith(f"@{slug}")}


def test_a_killed_repro_is_taken_up_where_it_was(built: Built) -> None:
    """What was finished before the kill is not run again, and the rest ends as if nothing had been."""
    assert [name.partition("@")[0] for name in built.second_run[-2:]] == ["publish", "report"]
    ran = {name.partition("@")[0] for name in built.second_run}
    assert {"export", "optimize", "pack", "publish", "report"} <= ran
    assert "fetch" not in ran
    assert not list((built.root / MODEL).glob(".*.partial"))


def test_every_variant_is_built_proven_and_published(built: Built) -> None:
    """Eleven variants, each with figures, a benchmark on this host, and sentence-transformers' file names."""
    found = manifest(built.root)
    assert {variant.id: (variant.status, variant.reason) for variant in found.variants} == dict.fromkeys(
        DEFAULT_VARIANT_IDS, ("passed", None)
    )
    (benchmark,) = found.benchmarks
    assert {s.id for s in benchmark.subjects} == {*DEFAULT_VARIANT_IDS, "torch-fp32", "torch-bf16", "torch-fp16"}
    published = snapshot(built.root / PUBLISHED)
    assert {"onnx/model_O4.onnx", "onnx/model_qint8_avx512_vnni.onnx", "openvino/openvino_model.xml"} <= set(published)
    assert set(published) == {entry.path for entry in found.published_files()} | {"manifest.json"}
    assert str(built.root).encode() not in b"".join(published.values())


def test_equal_graphs_have_equal_figures(built: Built) -> None:
    """Three presets of onnxruntime give the same bytes: they are measured once, and none looks faster than another."""
    found = manifest(built.root)
    names = ("onnx-qint8-arm64", "onnx-qint8-avx512", "onnx-qint8-avx512_vnni")
    assert len({entry.sha256 for name in names for entry in found.variant(name).files}) == 1
    assert len({found.variant(name).digest for name in names}) == 3
    (benchmark,) = found.benchmarks
    timed = {subject.id: subject for subject in benchmark.subjects}
    for name in names[1:]:
        assert found.variant(name).parity == found.variant(names[0]).parity
        assert timed[name].rows == timed[names[0]].rows
        assert timed[name].digest == found.variant(name).digest
        assert "the same graph as onnx-qint8-arm64" in found.variant(name).notes
    assert timed["onnx-quint8-avx2"].rows != timed[names[0]].rows


def test_tokenizer_and_config_are_pristine(built: Built) -> None:
    """No library's state leaks into what is published."""
    for entry in manifest(built.root).files:
        source = built.root / "checkpoints" / SLUG / entry.path
        assert (built.root / PUBLISHED / entry.path).read_bytes() == source.read_bytes()


def test_a_second_repro_runs_nothing(built: Built) -> None:
    """Nothing changed, so nothing runs."""
    done = dvc(built.root, "repro")
    assert done.returncode == 0
    assert "Running stage" not in done.stdout
    assert "Data and pipelines are up to date." in done.stdout + done.stderr


def test_another_clone_builds_nothing_that_was_built_and_pushed(copy: Path, tmp_path: Path) -> None:
    """With the lock it runs nothing. Without, as a scheduled update whose branch is not merged, it restores what was
    built from the run-cache, and measures: figures belong to the machine."""
    assert dvc(copy, "remote", "add", "-q", "-d", "folder", str(tmp_path / "remote")).returncode == 0
    done = project.stage(copy, "push")
    assert done.returncode == 0, done.stdout + done.stderr
    for name in (".dvc/cache", ".dvc/tmp", ".dvc/site", "artifacts"):
        shutil.rmtree(copy / name)
    assert project.stage(copy, "host").returncode == 0
    assert dvc(copy, "pull", "--allow-missing").returncode == 0
    assert repro(copy, "--pull", "--allow-missing", "report") == []
    for name in (".dvc/cache", ".dvc/tmp", ".dvc/site", "artifacts"):
        shutil.rmtree(copy / name)
    (copy / "dvc.lock").unlink()
    assert project.stage(copy, "host").returncode == 0
    ran = {name.partition("@")[0] for name in repro(copy, "--pull", "--allow-missing", "report")}
    assert ran <= {"host", "parity", "benchmark", "pack", "report"}
    assert "benchmark" in ran  # where quieter figures are kept, what follows is restored as well


def test_a_changed_threshold_builds_nothing(copy: Path) -> None:
    """`parity` measures again, since it tries workarounds where an execution fails; `pack` judges."""
    with edited(copy / "params.yaml") as params:
        params["thresholds"]["gelu-approximation"]["score_max_abs"] = 0.0
    again = [f"{stage}@{SLUG}" for stage in ("parity", "evaluate", "benchmark", "pack", "publish")]
    assert repro(copy) == [*again, "report"]
    found = manifest(copy).variant("onnx-O3")
    assert found.status == "failed"
    assert not (copy / PUBLISHED / "onnx/model_O3.onnx").exists()
    assert repro(copy) == []


def test_a_changed_calibration_set_rebuilds_what_was_calibrated_on_it(copy: Path, built: Built) -> None:
    """Static int8 is quantised again, and what depends on it is due; exports and the other variants stay."""
    path = copy / "registry/data/calibration.jsonl"
    path.write_text("".join(path.read_text(encoding="utf-8").splitlines(keepends=True)[4:]), encoding="utf-8")
    building = [f"{stage}@{SLUG}" for stage in STAGES[: STAGES.index("parity")]]
    assert repro(copy, *building) == [f"{stage}@{SLUG}" for stage in ("data", "quantize_onnx", "quantize_openvino")]
    assert changed_stages(copy) == {"parity", "benchmark", "pack", "publish"}
    for stage in ("export", "optimize"):
        assert snapshot(copy / VARIANTS / stage) == snapshot(built.root / VARIANTS / stage)
    dynamic = Path("quantize_onnx", "onnx-qint8-avx512_vnni")
    assert snapshot(copy / VARIANTS / dynamic) == snapshot(built.root / VARIANTS / dynamic)
    bin_name = "openvino-qint8/openvino_model_qint8_quantized.bin"
    old, new = (root / VARIANTS / "quantize_openvino" / bin_name for root in (built.root, copy))
    assert old.read_bytes() != new.read_bytes()


def test_one_recipe_runs_its_own_step_again(copy: Path) -> None:
    """For all models in params.yaml, or for one in its entry: the other steps stay as they are."""
    with edited(copy / "params.yaml") as params:
        params["recipes"]["optimize"] = {"onnx-O2": {"disable_gelu_fusion": True}}
    assert changed_stages(copy) == {"optimize"}
    assert repro(copy, "-s", f"optimize@{SLUG}") == [f"optimize@{SLUG}"]
    with edited(copy / "registry/models.yaml") as registry:
        registry["models"][SLUG]["variants"] = {"recipes": {"openvino-qint8": {"fast_bias_correction": False}}}
    building = [f"{stage}@{SLUG}" for stage in STAGES[: STAGES.index("parity")]]
    assert repro(copy, *building) == [f"{stage}@{SLUG}" for stage in ("fetch", "data", "quantize_openvino")]
    assert read_json(copy / MODEL / "recipes/optimize.json") == {}


def test_another_model_is_built_without_the_first(copy: Path, tiny: Path) -> None:
    """Adding a model, and changing its entry, edits the registry alone and runs that model's stages alone."""
    shutil.copytree(tiny, copy / "checkpoints" / "other")
    done = project.stage(copy, "add", "checkpoints/other", "--license", "mit")
    assert done.returncode == 0, done.stderr
    targets = ["export@other", *(f"{stage}@{SLUG}" for stage in STAGES)]
    assert repro(copy, *targets) == ["fetch@other", "export@other"]
    with edited(copy / "registry/models.yaml") as registry:
        registry["models"]["other"]["max_length"] = 64
    assert repro(copy, "fetch@other", *targets[1:]) == ["fetch@other"]
    assert read_json(copy / "artifacts/models/other/spec.json")["max_length"] == 64
    assert changed_stages(copy, "other") >= {"export"}
    assert changed_stages(copy, SLUG) == set()


def test_two_builds_from_nothing_give_the_same_model_files(built: Built, proven: Path) -> None:
    """Another folder, other processes, an empty cache: every file of every variant has the same bytes."""
    for step in ("export", "optimize", "quantize_onnx", "quantize_openvino"):
        one, other = (snapshot(root / VARIANTS / step) for root in (built.root, proven))
        assert set(one) == set(other)
        assert [name for name in one if one[name] != other[name]] == []


def test_dvc_shows_metrics_and_parameters(copy: Path) -> None:
    """`dvc metrics show` and `dvc params diff` say something useful."""
    done = dvc(copy, "metrics", "show", "--json")
    metrics = json.loads(done.stdout)[""]["data"][f"reports/metrics/{SLUG}.json"]["data"]
    assert metrics["passed"] == 12
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    for arguments in (["add", "."], [*identity, "commit", "-qm", "Built"]):
        subprocess.run(["git", *arguments], cwd=copy, check=True, capture_output=True)
    with edited(copy / "params.yaml") as params:
        params["thresholds"]["half"]["spearman"] = 0.5
    done = dvc(copy, "params", "diff", "--json")
    assert json.loads(done.stdout) == {"params.yaml": {"thresholds.half.spearman": {"old": None, "new": 0.5}}}


def test_loading_a_published_model_imports_no_toolchain(built: Built) -> None:
    """A service scores with numpy, tokenizers and a runtime: no torch, no transformers, no builder."""
    code = (
        "import sys, artificer; "
        f"model = artificer.load({str(built.root / PUBLISHED)!r}, variant='onnx'); "
        "print(float(model.predict([('a tap', 'a washer')])[0])); "
        "print([m for m in ('torch', 'transformers', 'optimum', 'stages', 'sentence_transformers', 'dvc') "
        "if m in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": str(project.REPOSITORY / "src")}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=built.root, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    score, imported = done.stdout.splitlines()
    assert 0 < float(score) < 1
    assert imported == "[]"


def pairs(count: int) -> list[tuple[str, str]]:
    """The first evaluation pairs of the demo."""
    rows = (json.loads(line) for line in (project.DEMO / "pairs.jsonl").read_text(encoding="utf-8").splitlines())
    return [(row["query"], row["passage"]) for row, _ in zip(rows, range(count), strict=False)]


def by_onnxruntime(folder: Path, file_name: str) -> Any:
    """A score of a pair as CrossEncoder's ONNX backend makes it, which does not import beside transformers 5."""
    import onnxruntime
    from transformers import AutoConfig, AutoTokenizer

    session = onnxruntime.InferenceSession(folder / file_name, providers=["CPUExecutionProvider"])
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    assert AutoConfig.from_pretrained(folder, local_files_only=True).sentence_transformers["activation_fn"] == SIGMOID

    def score(pair: tuple[str, str]) -> float:
        encoded = tokenizer([pair], padding=True, truncation="longest_first", return_tensors="np")
        given = {value.name: encoded[value.name].astype(np.int64) for value in session.get_inputs()}
        return float(1 / (1 + np.exp(-session.run(["logits"], given)[0][0, 0])))

    return score


def by_sentence_transformers(folder: Path, file_name: str) -> Any:
    """A score of a pair by CrossEncoder's OpenVINO backend."""
    from sentence_transformers import CrossEncoder

    options = {"file_name": file_name, "ov_config": {"INFERENCE_PRECISION_HINT": "f32"}}
    model = CrossEncoder(str(folder), backend="openvino", model_kwargs=options, local_files_only=True)
    return lambda pair: float(model.predict([pair], show_progress_bar=False)[0])


@pytest.mark.parametrize(
    ("load", "file_name", "variant", "tolerance"),
    [
        (by_onnxruntime, "onnx/model.onnx", "onnx", 1e-5),
        (by_onnxruntime, "onnx/model_O3.onnx", "onnx-O3", 1e-5),
        (by_onnxruntime, "onnx/model_qint8_avx512_vnni.onnx", "onnx-qint8-avx512_vnni", 1e-5),
        (by_sentence_transformers, "openvino/openvino_model.xml", "openvino in f32", 1e-5),
        (by_sentence_transformers, "openvino/openvino_model_qint8_quantized.xml", "openvino-qint8 in f32", 1e-5),
    ],
)
def test_others_load_the_published_folder(
    built: Built, load: Any, file_name: str, variant: str, tolerance: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same file gives the same scores there: names, sidecars, config and tokenizer are where it looks for them."""
    import artificer
    from artificer import host

    needs = next(v.requires_isa for v in manifest(built.root).variants if v.id == variant.partition(" ")[0])
    if not set(needs) <= set(host.detect().isa):
        pytest.skip(f"this host lacks {needs}")
    monkeypatch.setitem(sys.modules, "openvino_telemetry", None)
    texts = pairs(20)
    theirs = load(built.root / PUBLISHED, file_name)
    ours = artificer.load(built.root / PUBLISHED, variant=variant)
    # One pair at a time: dynamic int8 scores depend on what else is in the batch.
    expected = [theirs(pair) for pair in texts]
    found = [float(ours.predict([pair])[0]) for pair in texts]
    np.testing.assert_allclose(found, expected, atol=tolerance, rtol=0)
    assert max(found) - min(found) > 0.01
