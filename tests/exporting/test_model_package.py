"""A model package, opened by onnxruntime's own reader; what it scores, and what is refused."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from tokenizers import Tokenizer

import artificer
from artificer.cli import main
from artificer.errors import InputError, IntegrityError, ManifestError, SelectionError
from artificer.exporting.model_package import export_package
from artificer.manifest import MANIFEST_FILE
from tests.exporting.conftest import Make
from tests.hub_publish import tiny


def component(package: Path) -> Any:
    """What onnxruntime selects of a package on a CPU."""
    context = onnxruntime.ModelPackageContext(str(package))
    options = onnxruntime.ModelPackageOptions(onnxruntime.SessionOptions())
    return context.select_component(tiny.SLUG, options)


def logit(package: Path) -> float:
    """One pair, with nothing but what the package states: its graph, its tokenizer and its inputs."""
    info = onnxruntime.ModelPackage.open(str(package)).get_info()
    stated = json.loads(info["additional_metadata_json"])["artificer"]
    context = onnxruntime.ModelPackageContext(str(package))
    encoded = Tokenizer.from_file(context.resolve_string_ref(stated["tokenizer"])).encode(*tiny.PAIR)
    known = {"input_ids": encoded.ids, "attention_mask": encoded.attention_mask, "token_type_ids": encoded.type_ids}
    session = component(package).create_session()
    feed = {name: np.asarray([known[name]], dtype=np.int64) for name in stated["inputs"]}
    return float(np.ravel(session.run([stated["output"]], feed)[0])[0])


def test_onnxruntime_opens_the_package_and_scores_what_the_folder_scores(make: Make, tmp_path: Path) -> None:
    """The first variant of the package, on the CPU."""
    folder = make(variants=("onnx", "onnx-O3"))
    done = export_package(folder, tmp_path / "package")
    assert (done.variants, done.opened) == (("onnx", "onnx-O3"), "onnx")
    with artificer.load(folder, variant="onnx", cache=tmp_path / "cache") as model:
        expected = float(model.predict([tiny.PAIR], activation_fn="identity")[0])
    assert logit(done.folder) == pytest.approx(expected, abs=1e-6)


def test_the_reader_finds_every_variant_and_what_artificer_states(make: Make, tmp_path: Path) -> None:
    """With unknown fields refused."""
    folder = make(variants=("onnx", "onnx-O3"))
    export_package(folder, tmp_path / "package")
    info = onnxruntime.ModelPackage.open(str(tmp_path / "package")).get_info()
    assert (info["package_name"], info["layout"]) == (tiny.REPO, "portable")
    assert info["package_version"] == hashlib.sha256((folder / MANIFEST_FILE).read_bytes()).hexdigest()
    (found,) = info["components"]
    assert found["name"] == tiny.SLUG
    assert [(each["name"], each["ep"], each["device"]) for each in found["variants"]] == [
        ("onnx", "CPUExecutionProvider", "cpu"),
        ("onnx-O3", "CPUExecutionProvider", "cpu"),
    ]
    stated = json.loads(found["variants"][1]["additional_metadata_json"])["artificer"]
    assert stated["precision_class"] == "gelu-approximation"


def test_a_wanted_variant_comes_first_and_is_opened(make: Make, tmp_path: Path) -> None:
    """onnxruntime takes the first of those that fit, so the order is the caller's wish."""
    folder = make(variants=("onnx", "onnx-O3"), seeds={"onnx-O3": 2})
    done = export_package(folder, tmp_path / "package", ["onnx-O3", "onnx"])
    assert done.opened == component(done.folder).get_selected_variant_name() == "onnx-O3"
    assert logit(done.folder) == pytest.approx(tiny.logit(2), abs=1e-3)
    alone = export_package(folder, tmp_path / "alone", ["onnx-O3"])
    assert (alone.variants, alone.left_out) == (("onnx-O3",), {"onnx": "not asked for"})


def test_graphs_with_sidecars_keep_them(make: Make, tmp_path: Path) -> None:
    """Graph and weights lie side by side under their own names."""
    folder = make(variants=("onnx",), sidecars=True)
    done = export_package(folder, tmp_path / "package")
    names = {path.name for path in (done.folder / "variants/onnx").iterdir()}
    assert names == {"model.onnx", "model.onnx_data"}
    assert logit(done.folder) == pytest.approx(tiny.logit(0), abs=1e-3)


def test_equal_graphs_are_copied_once(make: Make, tmp_path: Path) -> None:
    """Two variants of the same bytes share a folder of the package."""
    folder = make(variants=("onnx-qint8-avx512", "onnx-qint8-avx512_vnni"), size=0)
    done = export_package(folder, tmp_path / "package")
    assert len(done.variants) == 2
    assert len(list((done.folder / "variants").iterdir())) == 1


def test_what_onnxruntime_cannot_open_is_left_out_and_named(
    make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """OpenVINO's graphs; asked for by name, they are refused."""
    folder = make(variants=("onnx", "openvino"))
    assert main(["export-package", str(folder), str(tmp_path / "package")]) == 0
    out = capsys.readouterr().out
    assert out == (
        f"{tmp_path / 'package'}: onnx; onnxruntime opens onnx here\n"
        "left out: openvino: onnxruntime does not open graphs of openvino\n"
    )
    with pytest.raises(SelectionError, match="openvino: onnxruntime does not open graphs of openvino"):
        export_package(folder, tmp_path / "other", ["openvino"])
    with pytest.raises(ManifestError, match="has no variant 'onnx-O9'"):
        export_package(folder, tmp_path / "other", ["onnx-O9"])
    assert not (tmp_path / "other").exists()


def test_the_same_folder_gives_the_same_package(make: Make, tmp_path: Path) -> None:
    """Byte by byte, and it passes for a shared asset by onnxruntime's own hash."""
    folder = make(variants=("onnx", "onnx-O3"))
    packages = [export_package(folder, tmp_path / name).folder for name in ("one", "two")]
    hashes = {onnxruntime.ModelPackage.compute_directory_hash(str(package)) for package in packages}
    assert len(hashes) == 1
    (asset,) = (packages[0] / "assets").iterdir()
    assert onnxruntime.ModelPackage.compute_directory_hash(str(asset)) == asset.name.replace("-", ":", 1)


def test_a_target_that_holds_something_is_refused(make: Make, tmp_path: Path) -> None:
    """So is one in the published folder; an empty one is taken."""
    folder = make(variants=("onnx",))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="expected an empty folder or nothing"):
        export_package(folder, tmp_path / "full")
    with pytest.raises(InputError, match="lies in the published folder"):
        export_package(folder, folder / "package")
    (tmp_path / "empty").mkdir()
    assert export_package(folder, tmp_path / "empty").opened == "onnx"
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["notes.txt"]


def test_a_damaged_folder_is_refused_and_nothing_is_written(make: Make, tmp_path: Path) -> None:
    """The files are verified before they are copied."""
    folder = make(variants=("onnx",))
    (folder / "onnx/model.onnx").write_bytes(b"damaged")
    with pytest.raises(IntegrityError, match=r"onnx/model\.onnx: expected"):
        export_package(folder, tmp_path / "package")
    assert not [path for path in tmp_path.iterdir() if "package" in path.name]


def test_a_package_that_the_reader_refuses_is_not_left_behind(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is read back before it gets its name."""
    folder = make(variants=("onnx",))
    monkeypatch.setattr("artificer.exporting.model_package.SCHEMA", "9.0")
    with pytest.raises(InputError, match=r"onnxruntime .* cannot read it: .*schema_version major 9"):
        export_package(folder, tmp_path / "package")
    assert not [path for path in tmp_path.iterdir() if "package" in path.name]


def test_an_onnxruntime_without_a_reader_is_named(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is written."""
    folder = make(variants=("onnx",))
    monkeypatch.delattr(onnxruntime, "ModelPackageContext")
    with pytest.raises(artificer.MissingRuntimeError, match=r"pip install 'onnxruntime>=1\.32'"):
        export_package(folder, tmp_path / "package")
