"""From figures to the manifest, the model card, the metrics, the leaderboard and the plots."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from artificer.manifest import Attempt, Fallback, Manifest
from artificer.proving.proof_set import unpacked
from stages.core import paths
from stages.records.fallback_costs import Cost, write_costs
from stages.records.golden_rows import golden_rows
from stages.records.pairs import Pair, write_pairs
from stages.records.quality_report import QualityReport, write_quality
from tests.stages.conftest import Stages
from tests.stages.fabricated import HOST, PAIRS, SLUG, Fabricated, add_host, tighten
from tests.stages.project import edited, read_json, snapshot

GOLDEN = Path(__file__).parent / "golden"
PARITY_ERROR = 6
PACKAGE = Path("artifacts/packages", SLUG)


def assert_golden(name: str, found: str) -> None:
    """Compare with the golden file; UPDATE_GOLDEN=1 writes it."""
    path = GOLDEN / name
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(found, encoding="utf-8")
    assert found == path.read_text(encoding="utf-8")


def test_every_variant_has_its_outcome(packed: Manifest) -> None:
    """What passed is shipped; what failed, cannot be run or is unsupported is listed with its reason instead."""
    outcomes = {variant.id: (variant.status, variant.reason) for variant in packed.variants}
    assert outcomes == {
        "onnx": ("passed", None),
        "onnx-O1": ("failed", "Fail: Load model from model_O1.onnx failed"),
        "onnx-O2": ("failed", "RuntimeError: no such fusion"),
        "onnx-O3": ("passed", None),
        "onnx-O4": ("unsupported", "no fp16 here"),
        "onnx-qint8-arm64": ("passed", None),
        "onnx-quint8-avx2": ("passed", None),
        "onnx-qint8-avx512": ("failed", "score_max_abs is 0.5, at most 0.1"),
        "onnx-qint8-avx512_vnni": ("passed", None),
        "onnx-qint8-static": ("passed", None),
        "openvino": ("passed", None),
        "openvino-qint8": ("passed", None),
    }
    for variant in packed.variants:
        assert bool(variant.files) == (variant.status == "passed"), variant.id
    openvino = packed.variant("openvino")
    assert [file.path for file in openvino.files] == ["openvino/openvino_model.bin", "openvino/openvino_model.xml"]
    assert openvino.graph == "openvino/openvino_model.xml"


def test_the_default_precision_is_judged_as_what_it_is(packed: Manifest) -> None:
    """OpenVINO's bf16 is a second measurement beside f32, against the thresholds of half precision."""
    first, second = packed.variant("openvino").parity
    assert (first.execution_precision, first.default_precision) == ("f32", False)
    assert (second.execution_precision, second.default_precision) == ("bf16", True)
    assert second.thresholds["score_max_abs"] == 0.1
    assert first.thresholds["score_max_abs"] == 1e-4


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"score_max_abs": 0.01}, "score_max_abs is 0.01, at most 0.0001"),
        ({"score_mean_abs": 0.01}, "score_mean_abs is 0.01, at most 1e-05"),
        (
            {"score_max_abs": 1.0, "score_mean_abs": 0.5},
            "score_max_abs is 1, at most 0.0001; score_mean_abs is 0.5, at most 1e-05",
        ),
    ],
)
def test_a_plain_export_that_fails_parity_ends_the_build(
    root: Path, tiny: Path, stages: Stages, changes: dict[str, Any], reason: str
) -> None:
    """If the plain export differs from torch, nothing made from it can be trusted, and no package is left or made."""
    Fabricated().write(root, tiny)
    assert stages("pack", SLUG)[0] == 0
    before = snapshot(root / PACKAGE)
    Fabricated(figures={"onnx": changes}).write(root, tiny)
    code, _, err = stages("pack", SLUG)
    message = f"{SLUG}: the plain ONNX export does not compute what torch computes: {reason}."
    assert (code, err) == (PARITY_ERROR, f"error: {message}\n")
    assert snapshot(root / PACKAGE) == before
    assert not list(PACKAGE.parent.glob(".*"))


def test_a_plain_export_that_cannot_be_run_ends_the_build(root: Path, tiny: Path, stages: Stages) -> None:
    """A runtime's refusal of the plain export is an error, not a row in a table."""
    Fabricated(errors={"onnx": "Fail: broken graph"}).write(root, tiny)
    code, _, err = stages("pack", SLUG)
    assert code == PARITY_ERROR
    assert "does not compute what torch computes: Fail: broken graph." in err
    assert not PACKAGE.exists()


def test_a_changed_threshold_changes_the_verdict_alone(root: Path, tiny: Path, stages: Stages) -> None:
    """The same figures pass or fail by params.yaml; nothing is measured again."""
    Fabricated(figures={"onnx-qint8-arm64": {"score_max_abs": 0.2}}).write(root, tiny)
    stages("pack", SLUG)
    path = root / PACKAGE / "manifest.json"
    assert Manifest.from_json(path.read_bytes()).variant("onnx-qint8-arm64").status == "passed"
    tighten(root, "int8", score_max_abs=0.1, quality_ratio=0.98)
    stages("pack", SLUG)
    found = Manifest.from_json(path.read_bytes()).variant("onnx-qint8-arm64")
    assert (found.status, found.reason) == ("failed", "score_max_abs is 0.2, at most 0.1")


def test_quality_is_a_gate(root: Path, tiny: Path, stages: Stages) -> None:
    """A variant that ranks worse on labelled data fails, however close its scores are."""
    tighten(root, "int8", quality_ratio=0.99)
    Fabricated(ratios={"openvino-qint8": 0.98}).write(root, tiny)
    stages("pack", SLUG)
    found = Manifest.from_json((root / PACKAGE / "manifest.json").read_bytes()).variant("openvino-qint8")
    assert found.reason == "ndcg_at_10 is 0.9800 of the reference's, at least 0.99"


def test_packing_twice_gives_the_same_bytes(root: Path, stages: Stages, packed: Manifest) -> None:
    """Manifest, card and plot hold no time, path or version that varies."""
    before = snapshot(root / PACKAGE)
    assert set(before) == {"manifest.json", "metrics.json", "README.md", "proof-set.json.gz", "speed-quality.png"}
    assert stages("pack", SLUG)[0] == 0
    assert snapshot(root / PACKAGE) == before
    assert packed.to_json() == before["manifest.json"]
    for data in before.values():
        assert str(root).encode() not in data


def test_figures_of_other_bytes_are_left_out(root: Path, tiny: Path, stages: Stages) -> None:
    """Speeds of several hosts accumulate, each tied to the digest of the files that it was measured on."""
    Fabricated().write(root, tiny)
    add_host(SLUG, "zz-other-host", ("onnx", "openvino"), 5.0)
    path = paths.benchmarks(SLUG) / "zz-other-host.json"
    text = path.read_text(encoding="utf-8")
    digest = next(s["digest"] for s in read_json(path)["subjects"] if s["id"] == "openvino")
    path.write_text(text.replace(digest, "0" * 64), encoding="utf-8")
    stages("pack", SLUG)
    manifest = Manifest.from_json((root / PACKAGE / "manifest.json").read_bytes())
    own, other = manifest.benchmarks
    assert (own.host.name, other.host.name) == ("amd-test-avx2-2c", "zz-other-host")
    assert {"onnx", "openvino"} <= {subject.id for subject in own.subjects}
    assert [s.id for s in other.subjects] == ["torch-fp32", "torch-bf16", "torch-fp16", "onnx"]


def test_the_model_card(packed: Manifest) -> None:
    """The card as people read it: table, plot, snippets, provenance, and what was not published."""
    text = (PACKAGE / "README.md").read_text(encoding="utf-8")
    assert_golden("model_card.md", text.replace(packed.source.revision, "sha256:…"))


def fallback(*missed: str, won: str | None) -> Fallback:
    """Attempts that missed, the plain one first, and perhaps one that passed."""
    missing: tuple[str, ...] = ("score_max_abs is 0.5, at most 0.25",)
    attempts = [(name, missing) for name in ("plain", *missed)]
    attempts += [(won, ())] if won else []
    return Fallback(
        rows=12,
        isa_class="avx2",
        attempts=tuple(
            Attempt(
                recipe=name,
                changes={},
                metrics={"score_max_abs": 0.5, "score_mean_abs": 0.1, "spearman": None, "top_k_overlap": 1.0},
                quality_ratio=None,
                size_bytes=100,
                missed=reasons,
            )
            for name, reasons in attempts
        ),
        won=won,
        size_ratio=1.5 if won else None,
    )


def test_the_card_says_which_fallback_recipe_was_kept_and_what_it_costs(root: Path, tiny: Path, stages: Stages) -> None:
    """The manifest and the card have the attempts, the winner, its speed on the building host and its size."""
    found = {
        "onnx-quint8-avx2": fallback("float-attention", won="reduced-range"),
        "openvino-qint8": fallback("no-smooth-quant", won=None),
    }
    Fabricated(recoveries=found, figures={"openvino-qint8": {"score_max_abs": 2.0}}).write(root, tiny)
    cost = Cost(pairs_per_second=75.0, plain_pairs_per_second=100.0, speed_ratio=0.75)
    write_costs(paths.fallback_costs(SLUG, "onnx"), HOST, {"onnx-quint8-avx2": cost})
    assert stages("pack", SLUG)[0] == 0
    manifest = Manifest.from_json((root / PACKAGE / "manifest.json").read_bytes())
    won = manifest.variant("onnx-quint8-avx2").fallback
    assert won is not None
    assert (won.won, won.speed_ratio, won.size_ratio) == ("reduced-range", 0.75, 1.5)
    assert won.host is not None
    assert [each.recipe for each in won.attempts] == ["plain", "float-attention", "reduced-range"]
    assert manifest.variant("openvino-qint8").fallback == found["openvino-qint8"]
    assert manifest.variant("onnx").fallback is None
    card = (PACKAGE / "README.md").read_text(encoding="utf-8")
    assert "| fallback recipe | `onnx-quint8-avx2`: recipe reduced-range, 0.75x the plain recipe's speed on" in card
    assert "1.50x its size; failed before: plain (score_max_abs is 0.5, at most 0.25); float-attention (" in card
    assert "| fallback recipe | `openvino-qint8`: no recipe passed: plain (score_max_abs is 0.5, at most 0.25);" in card


@pytest.mark.usefixtures("packed")
def test_a_manifest_from_before_recovery_loads(root: Path) -> None:
    """Its variants have no such key, and none has a fallback recipe."""
    path = root / PACKAGE / "manifest.json"
    old = read_json(path)
    for variant in old["variants"]:
        del variant["fallback"]
    assert Manifest.from_json(json.dumps(old).encode()) == Manifest.from_json(path.read_bytes())


def test_the_card_passes_an_activation_that_the_config_does_not_declare(root: Path, tiny: Path, stages: Stages) -> None:
    """sentence-transformers would apply another one, so the snippet says which."""
    Fabricated().write(root, tiny)
    text = (root / "registry/models.yaml").read_text()
    (root / "registry/models.yaml").write_text(text.replace("license: mit", "license: mit\n    activation: identity"))
    Fabricated().write(root, tiny)
    stages("pack", SLUG)
    card = (PACKAGE / "README.md").read_text(encoding="utf-8")
    assert ",\n    activation_fn=torch.nn.Identity(),\n)" in card


def test_the_card_names_the_onnx_backend_where_no_openvino_variant_passed(
    root: Path, tiny: Path, stages: Stages
) -> None:
    """What passed is what the snippet loads, with what its backend needs."""
    Fabricated(statuses={"openvino": ("failed", "no such operator")}).write(root, tiny)
    stages("pack", SLUG)
    card = (PACKAGE / "README.md").read_text(encoding="utf-8")
    assert '# pip install "sentence-transformers[onnx]==5.7.0"' in card
    assert 'backend="onnx",\n    model_kwargs={"file_name": "onnx/model_O2.onnx"},' in card
    assert "needs transformers 4: it works with sentence-transformers up to 5.7, not with 6." in card
    assert 'backend="openvino"' not in card


@pytest.mark.usefixtures("packed")
def test_the_metrics(root: Path) -> None:
    """`dvc metrics show` gets a few rounded key figures: how many passed, and what the fastest of them does."""
    assert read_json(root / "reports" / "metrics" / f"{SLUG}.json") == {
        "ndcg_at_10": 0.8,
        "passed": 8,
        "failed": 3,
        "unsupported": 1,
        "fastest": {"speedup": 2.9, "quality_ratio": 0.985, "megabytes": 0.0},
        "score_max_abs": {"fp32": 1e-06, "int8": 0.5},
    }


@pytest.mark.usefixtures("packed")
def test_the_leaderboard(root: Path, stages: Stages) -> None:
    """Markdown, CSV and both plots of all packed models, and the table in the terminal."""
    code, out, _ = stages("report")
    assert code == 0
    assert_golden("leaderboard.md", (root / "reports" / "leaderboard.md").read_text(encoding="utf-8"))
    assert_golden("leaderboard.csv", (root / "reports" / "leaderboard.csv").read_text(encoding="utf-8"))
    assert "onnx-qint8-avx512_vnni" in out
    assert (root / "reports/speed_quality.png").read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in (root / "reports/speed_quality.svg").read_bytes()


@pytest.mark.usefixtures("packed")
def test_reports_are_the_same_bytes_every_time(root: Path, stages: Stages) -> None:
    """A report that did not change is no change for git."""
    stages("report")
    before = snapshot(root / "reports")
    assert len([name for name in before if not name.startswith("site/")]) == 6  # leaderboard, plots, metrics, resources
    stages("report")
    assert snapshot(root / "reports") == before


def test_a_report_of_two_models(root: Path, tiny: Path, stages: Stages) -> None:
    """Every packed model is on the leaderboard, in the registry's order; one that is not packed is left out."""
    for slug in ("tiny", "second"):
        Fabricated().write(root, tiny, slug)
        stages("pack", slug)
    with edited(root / "registry/models.yaml") as registry:
        registry["models"]["unbuilt"] = registry["models"]["tiny"]
    assert stages("report")[0] == 0
    text = (root / "reports/leaderboard.md").read_text(encoding="utf-8")
    assert [line for line in text.splitlines() if line.startswith("## ")] == ["## tiny", "## second"]


def test_a_report_of_nothing(root: Path, stages: Stages) -> None:
    """An empty registry has an empty leaderboard, not an error."""
    (root / "artifacts").mkdir()
    from artificer.manifest import canonical_json

    (root / "artifacts/host.json").write_bytes(canonical_json(HOST))
    assert stages("report")[0] == 0
    assert (root / "reports/leaderboard.md").read_text() == "# Leaderboard\n"


@pytest.mark.parametrize(("count", "expected"), [(1, [3]), (2, [3, 1]), (3, [3, 2, 1]), (5, [3, 0, 2, 4, 1])])
def test_golden_pairs_reach_from_the_lowest_to_the_highest_of_the_short_ones(count: int, expected: list[int]) -> None:
    """A self-test that saw only similar scores would prove little, and one of long texts would make every load slow."""
    logits = ((0.0,), (9.0,), (2.0,), (-4.0,), (5.0,), (-99.0,), (99.0,), (7.0,), (8.0,), (6.0,))
    pairs = [Pair(query="q", passage="p")] * 5 + [Pair(query="q", passage="p" * 200)] * 5
    assert golden_rows(logits, pairs, count) == expected


def test_golden_pairs_are_no_more_than_there_are() -> None:
    """A small evaluation set gives what it has."""
    assert golden_rows(((0.0,), (9.0,)), [Pair(query="q", passage="p")] * 2, 4) == [0, 1]


def test_without_labels_the_card_says_that_quality_is_not_measured(root: Path, tiny: Path, stages: Stages) -> None:
    """In the table of figures, and where the evaluation set is named; borrowed sets are said to be the demo's."""
    Fabricated().write(root, tiny)
    unlabelled = [Pair(query=pair.query, passage=pair.passage) for pair in PAIRS]
    write_pairs(paths.evaluation(SLUG), "demo-pairs", unlabelled, borrowed=True)
    write_quality(SLUG, QualityReport(reference=None, variants={}, reason="data set demo-pairs: it has no labels"))
    assert stages("pack", SLUG)[0] == 0
    text = (PACKAGE / "README.md").read_text(encoding="utf-8")
    (row,) = [line for line in text.splitlines() if line.startswith("| onnx-O2 |")]
    assert row.split(" | ")[3] == "not measured"
    assert "| judged on | `demo-pairs`, 12 pairs, Artificer's demo set, without labels |" in text
    assert "| quality | not measured: data set demo-pairs: it has no labels |" in text
    assert "> **Not measured on data of its own.** This model was judged on `demo-pairs`: English texts" in text


@pytest.mark.parametrize(("wanted", "count"), [("all", len(PAIRS)), (3, 3), (1000, len(PAIRS)), ("golden", 4)])
def test_a_package_carries_as_many_pairs_as_params_say(
    root: Path, tiny: Path, stages: Stages, wanted: str | int, count: int
) -> None:
    """With the reference's outputs, the thresholds of each class, and the file's hash in the manifest."""
    Fabricated().write(root, tiny)
    with edited(root / "params.yaml") as params:
        params["publish"]["proof_set"] = wanted
    assert stages("pack", SLUG)[0] == 0
    manifest = Manifest.from_json((root / PACKAGE / "manifest.json").read_bytes())
    assert manifest.proof is not None
    data = (root / PACKAGE / "proof-set.json.gz").read_bytes()
    proof = unpacked(data)
    assert (len(proof.texts), manifest.proof.pairs) == (count, count)
    assert manifest.proof.file.sha256 == hashlib.sha256(data).hexdigest()
    assert manifest.proof.file in manifest.published_files()
    assert manifest.proof.thresholds["int8"]["length_score_max_abs"] == 1.0
    if wanted == "golden":
        assert {text for text, _ in proof.texts} == {each.inputs["query"] for each in manifest.golden}
