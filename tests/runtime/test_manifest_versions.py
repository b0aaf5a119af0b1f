"""Manifests of earlier schema versions stay readable: a stored one of the demo, as version 1.0 wrote it."""

import json
from pathlib import Path

import jsonschema
import msgspec
import pytest

from artificer.errors import ManifestError, ManifestVersionError
from artificer.manifest import SCHEMA_VERSION, ClassifierHead, Manifest, manifest_schema
from artificer.tasks import task_of

STORED = Path(__file__).parents[1] / "data" / "manifest-1.0-demo.json"


@pytest.fixture(scope="module")
def old() -> dict[str, object]:
    """The stored manifest, as JSON."""
    found: dict[str, object] = json.loads(STORED.read_text())
    assert found["schema_version"] == "1.0"
    return found


def test_a_manifest_of_schema_1_is_read_as_todays() -> None:
    """Every fact of it is there under today's names, and is written as today's schema says."""
    found = Manifest.from_json(STORED.read_bytes())
    assert found.schema_version == SCHEMA_VERSION
    assert found.head == ClassifierHead(labels=("LABEL_0",), activation="sigmoid")
    assert task_of(found).name == "text-ranking"
    jsonschema.Draft202012Validator(manifest_schema()).validate(json.loads(found.to_json()))
    assert Manifest.from_json(found.to_json()) == found


def test_golden_pairs_of_schema_1_become_samples(old: dict[str, list[dict[str, object]]]) -> None:
    """The texts get the task's names, the logits the graph's."""
    found = Manifest.from_json(STORED.read_bytes())
    assert [sample.inputs for sample in found.golden] == [
        {"query": each["query"], "passage": each["passage"]} for each in old["golden"]
    ]
    assert [list(sample.outputs["logits"]) for sample in found.golden] == [each["logits"] for each in old["golden"]]


def test_parity_and_quality_of_schema_1_become_metrics_by_name() -> None:
    """What decides over a variant, and what the self-test allows for, keep their values."""
    old = json.loads(STORED.read_text())
    found = Manifest.from_json(STORED.read_bytes())
    for before, variant in zip(old["variants"], found.variants, strict=True):
        assert (variant.id, variant.status, variant.digest) == (before["id"], before["status"], before["digest"])
        for record, figures in zip(variant.parity, (each["figures"] for each in before["parity"]), strict=True):
            assert record.metrics["output_max_abs"] == figures["logit_max_abs"]
            assert record.metrics["score_max_abs"] == figures["score_max_abs"]
            assert record.metrics["spearman"] == figures["spearman"]
        if variant.quality is not None:
            assert variant.quality.ratio == before["quality"]["ratio"]
            assert variant.quality.main_value == before["quality"][before["quality"]["main_metric"]]


def test_ranks_of_schema_1_keep_the_order_that_its_readers_used() -> None:
    """Without speeds the same variant comes first as before."""
    found = {variant.id: variant.rank for variant in Manifest.from_json(STORED.read_bytes()).variants}
    on_intel = ["openvino-qint8", "onnx-qint8-avx512_vnni", "onnx-qint8-avx512", "onnx-quint8-avx2", "onnx-qint8-arm64"]
    on_intel += ["openvino", "onnx-O2", "onnx", "onnx-O1", "onnx-O3", "onnx-O4"]
    assert sorted(found, key=lambda each: found[each].intel) == on_intel
    assert sorted(found, key=lambda each: found[each].cpu)[5:9] == ["onnx-O2", "onnx", "onnx-O1", "openvino"]


def test_what_is_wrong_in_schema_1_is_named_with_its_key_path(old: dict[str, object]) -> None:
    """A damaged old manifest costs the same message as a damaged new one."""
    broken = {**old, "max_length": "many"}
    with pytest.raises(ManifestError, match=r"manifest\.json: max_length: Expected `int`"):
        Manifest.from_json(json.dumps(broken).encode())


@pytest.mark.parametrize(("version", "remedy"), [("0.9", "build the model again"), ("3.0", "upgrade the artificer")])
def test_other_major_versions_are_refused_with_a_remedy(old: dict[str, object], version: str, remedy: str) -> None:
    """Too old a manifest is built again, too new a one needs a newer package."""
    with pytest.raises(ManifestVersionError, match=remedy):
        Manifest.from_json(json.dumps({**old, "schema_version": version}).encode())


@pytest.mark.parametrize(
    ("damage", "path"),
    [({"labels": [], "golden": []}, r"head\.labels"), ({"max_length": 0}, "max_length")],
)
def test_schema_1_is_validated_as_todays(old: dict[str, object], damage: dict[str, object], path: str) -> None:
    """What today's types forbid is refused in an old manifest too."""
    with pytest.raises(ManifestError, match=rf"manifest\.json: {path}: Expected"):
        Manifest.from_json(json.dumps({**old, **damage}).encode())


def test_a_ranking_of_several_labels_was_a_classification_in_schema_1(old: dict[str, object]) -> None:
    """Nothing read the task of 1.x; today only one label can be ranked by."""
    several = {**old, "labels": ["a", "b", "c"], "golden": [], "task": "text-ranking"}
    found = Manifest.from_json(json.dumps(several).encode())
    assert (found.task, task_of(found).name) == ("text-classification", "text-classification")
    wrong = msgspec.structs.replace(found, task="text-ranking")
    with pytest.raises(ManifestError, match=r"head: text-ranking has 1 number\(s\) per input, found 3\."):
        task_of(Manifest.from_json(wrong.to_json()))


AMX = ("amx_bf16", "amx_int8", "amx_tile", "avx2", "avx512", "avx512_bf16", "avx512_vnni", "x86-64")


def classes_read(manifest: Manifest, version: str, **changes: object) -> tuple[set[str], set[str]]:
    """The classes of parity records and of benchmarks, as they are read from a manifest of that version whose first
    benchmark's host has the changes; without changes it has no benchmark."""
    host = msgspec.structs.replace(manifest.benchmarks[0].host, **changes)
    benchmarks = (msgspec.structs.replace(manifest.benchmarks[0], host=host),) if changes else ()
    records = tuple(
        msgspec.structs.replace(
            each, parity=tuple(msgspec.structs.replace(r, isa_class="avx512_vnni") for r in each.parity)
        )
        for each in manifest.variants
    )
    written = msgspec.structs.replace(manifest, schema_version=version, variants=records, benchmarks=benchmarks)
    found = Manifest.from_json(written.to_json())
    return {r.isa_class for each in found.variants for r in each.parity}, {b.host.isa_class for b in found.benchmarks}


def test_an_old_class_becomes_todays_where_a_benchmarks_host_says_what_it_was(manifest: Manifest) -> None:
    """Before 2.1 a machine with AMX was called `avx512_vnni`."""
    assert classes_read(manifest, "2.0", isa=AMX, isa_class="avx512_vnni") == ({"amx"}, {"amx"})
    assert classes_read(manifest, "2.0", isa=AMX[3:], isa_class="avx512_vnni") == ({"avx512_vnni"},) * 2


def test_a_record_of_an_unknown_old_class_is_of_no_machine(manifest: Manifest) -> None:
    """It proves int8 nowhere: it may be of either class that it was split into."""
    assert classes_read(manifest, "2.0") == ({"avx512_vnni of a release before 2.1"}, set())
    assert classes_read(manifest, "2.1") == ({"avx512_vnni"}, set())
