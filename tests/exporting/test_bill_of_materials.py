"""The bill of materials: valid by CycloneDX's own schema, complete, and the same bytes for the same manifest."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

import artificer
from artificer.cli import main
from artificer.exporting.bill_of_materials import bill_of_materials
from artificer.loading.location import read_manifest
from artificer.manifest import Manifest, Source
from tests.exporting.conftest import Make

ROOT = Path(__file__).resolve().parents[2]
OLD = ROOT / "tests/data/manifest-1.0-demo.json"


def document(manifest: Manifest) -> dict[str, Any]:
    """The parsed bill of a manifest, after CycloneDX's strict validator found nothing."""
    data = bill_of_materials(manifest, hashlib.sha256(manifest.to_json()).hexdigest())
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(data.decode()) is None
    return dict(json.loads(data))


def found(part: dict[str, Any], name: str) -> list[str]:
    """The values of a property."""
    return [each["value"] for each in part.get("properties", []) if each["name"] == f"artificer:{name}"]


@pytest.fixture
def manifest(make: Make) -> Manifest:
    """Of the tiny model."""
    return read_manifest(make())[0]


def test_every_published_file_is_listed_with_its_hash(manifest: Manifest) -> None:
    """Of the folder, of each variant, and of the checkpoint that it was made from."""
    bill = document(manifest)
    parts = [bill["metadata"]["component"], *(part for part in bill["components"])]
    files = {
        (part["bom-ref"], file["name"]): file["hashes"][0]["content"]
        for part in parts
        for file in part.get("components", [])
    }
    listed = {name: sha256 for (owner, name), sha256 in files.items() if owner != "base-model"}
    published = {entry.path: entry.sha256 for entry in manifest.published_files()}
    assert listed == {**published, "manifest.json": hashlib.sha256(manifest.to_json()).hexdigest()}
    base = {name: sha256 for (owner, name), sha256 in files.items() if owner == "base-model"}
    assert base == {entry.path: entry.sha256 for entry in manifest.source.files}


def test_the_model_card_states_task_data_and_quality(manifest: Manifest) -> None:
    """In the fields that CycloneDX has for machine learning."""
    card = document(manifest)["metadata"]["component"]["modelCard"]
    parameters = card["modelParameters"]
    assert (parameters["task"], parameters["modelArchitecture"]) == ("text-ranking", "BertForSequenceClassification")
    assert parameters["outputs"] == [{"format": "float32 [batch, 1]; sigmoid of the logits"}]
    assert parameters["datasets"] == [{"ref": f"data:pairs:{'0' * 64}"}]
    metrics = {(each["slice"], each["type"]) for each in card["quantitativeAnalysis"]["performanceMetrics"]}
    assert ("onnx", "ratio to the source model") in metrics


def test_each_part_has_its_role(manifest: Manifest) -> None:
    """Base model, variants, and a data set that serves for two things once."""
    bill = document(manifest)
    roles = {part["bom-ref"]: (part["type"], found(part, "role")) for part in bill["components"]}
    assert roles["base-model"] == ("machine-learning-model", ["base model"])
    assert roles["variant:onnx"] == ("machine-learning-model", ["variant"])
    assert roles[f"data:pairs:{'0' * 64}"] == ("data", ["calibration", "evaluation"])
    (edges,) = [each["dependsOn"] for each in bill["dependencies"] if each["ref"] == "model"]
    assert set(edges) == set(roles)


def test_tools_are_packages_with_versions() -> None:
    """Those of the reference and of every variant; also from a manifest of schema 1.0."""
    bill = document(Manifest.from_json(OLD.read_bytes()))
    purls = {tool["purl"] for tool in bill["metadata"]["tools"]["components"]}
    assert {"pkg:pypi/torch@2.13.0", "pkg:pypi/transformers@4.57.6", "pkg:pypi/onnxruntime@1.32.0"} <= purls


@pytest.mark.parametrize(
    ("license", "expected"),
    [
        ("apache-2.0", {"id": "Apache-2.0"}),
        ("MIT", {"id": "MIT"}),
        ("llama3", {"name": "llama3"}),
        ("proprietary", {"name": "proprietary"}),
    ],
)
def test_a_license_is_an_spdx_id_where_it_is_one(manifest: Manifest, license: str, expected: dict[str, str]) -> None:
    """Others are stated by name."""
    changed = msgspec.structs.replace(manifest, source=msgspec.structs.replace(manifest.source, license=license))
    bill = document(changed)
    assert bill["metadata"]["component"]["licenses"] == [{"license": expected}]


def test_a_base_model_on_the_hub_has_a_package_url(manifest: Manifest) -> None:
    """With the commit."""
    source = Source(kind="hub", location="acme/base", revision="f" * 40, license="mit", files=manifest.source.files)
    parts = document(msgspec.structs.replace(manifest, source=source))["components"]
    (base,) = [part for part in parts if part["bom-ref"] == "base-model"]
    assert base["purl"] == f"pkg:huggingface/acme/base@{'f' * 40}"


def test_a_data_set_of_the_hub_has_its_commit_and_address(manifest: Manifest) -> None:
    """A local one has neither."""
    data = msgspec.structs.replace(manifest.evaluation, dataset="acme/pairs", revision="e" * 40, name="hub-pairs")
    parts = document(msgspec.structs.replace(manifest, evaluation=data))["components"]
    found = {part["name"]: part for part in parts if part["type"] == "data"}
    assert found["hub-pairs"]["version"] == "e" * 40
    (place,) = found["hub-pairs"]["externalReferences"]
    assert place["url"] == f"https://huggingface.co/datasets/acme/pairs/tree/{'e' * 40}"
    assert "version" not in found["pairs"]


def test_the_same_manifest_gives_the_same_bytes(make: Make) -> None:
    """In processes that order sets differently; without a time or a random number."""
    folder = make()
    code = f"from artificer.cli import main; main(['bom', {str(folder)!r}])"
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1
    bill = json.loads(outputs.pop())
    assert "timestamp" not in bill["metadata"]
    assert bill["serialNumber"].startswith("urn:uuid:")


def test_the_command_writes_a_file(make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Or standard output; a folder that is none is one clear error."""
    folder, out = make(), tmp_path / "bom" / "model.cdx.json"
    assert main(["bom", str(folder), "--out", str(out)]) == 0
    assert main(["bom", str(folder)]) == 0
    assert capsys.readouterr().out == out.read_text()
    assert main(["bom", str(tmp_path)]) == 1
    assert "holds no readable manifest.json" in capsys.readouterr().err


def test_without_the_extra_the_message_names_it(manifest: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The runtime installs without it."""
    for name in [each for each in sys.modules if each.partition(".")[0] == "cyclonedx"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "cyclonedx", None)
    with pytest.raises(artificer.MissingRuntimeError, match=r"pip install 'artificer\[bom\]'"):
        bill_of_materials(manifest, "0" * 64)
