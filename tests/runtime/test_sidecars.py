"""Weights beside the graph: loaded with it, and refused before a runtime opens them when they do not belong to it."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from artificer.backends.onnx import OnnxBackend
from artificer.errors import IntegrityError, ManifestError
from artificer.external_data import external_data
from artificer.hub.fetch import FolderSource, fetch_files
from artificer.inference.tokenization import TextTokenizer
from artificer.loading.integrity import check_sidecars
from artificer.loading.loader import load
from artificer.loading.location import read_manifest
from artificer.manifest import MANIFEST_FILE, FileEntry, Manifest, Variant, describe_file, tree_digest
from tests.runtime.build_folder import PAIRS
from tests.runtime.conftest import CHECKPOINT, Copy

IDS = ("onnx", "onnx-O1", "onnx-O3")


def spread(folder: Path) -> Manifest:
    """Move the weights of every ONNX variant of `folder` into a sidecar `<graph file>_data`, as above 2 GB."""
    import onnx

    manifest, _ = read_manifest(folder)
    variants = []
    for variant in manifest.variants:
        assert variant.graph is not None
        graph = folder / variant.graph
        model = onnx.load(str(graph))
        graph.unlink()
        # Constants of shapes must stay in the graph: onnxruntime does not look them up in a sidecar.
        onnx.save_model(
            model, str(graph), save_as_external_data=True, location=f"{graph.name}_data", size_threshold=64,
        )  # fmt: skip
        variants.append(with_files(folder, variant, variant.graph, f"{variant.graph}_data"))
    return write(folder, manifest, *variants)


def with_files(folder: Path, variant: Variant, *names: str) -> Variant:
    """The variant with these files, as they are now."""
    files = tuple(describe_file(folder, name) for name in names)
    size = sum(entry.size for entry in files)
    return msgspec.structs.replace(variant, files=files, digest=tree_digest(files), size_bytes=size)


def write(folder: Path, manifest: Manifest, *variants: Variant) -> Manifest:
    """The manifest with these variants, written."""
    made = msgspec.structs.replace(manifest, variants=variants)
    (folder / MANIFEST_FILE).write_bytes(made.to_json())
    return made


@pytest.fixture
def spread_folder(copied: Copy) -> Path:
    """A published folder whose ONNX variants each have a sidecar."""
    folder = copied(*IDS)
    spread(folder)
    return folder


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The graphs that a runtime was asked to open."""
    found: list[Path] = []
    monkeypatch.setattr(OnnxBackend, "graph_opener", lambda _: lambda graph, __: found.append(graph))
    return found


def test_a_folder_with_sidecars_gives_the_same_scores_everywhere(spread_folder: Path) -> None:
    """Our runtime and plain onnxruntime agree on each variant with sentence-transformers on the checkpoint."""
    import onnxruntime
    from sentence_transformers import CrossEncoder

    theirs = CrossEncoder(str(CHECKPOINT), model_kwargs={"dtype": "float32"}, local_files_only=True)
    expected = theirs.predict(PAIRS, show_progress_bar=False)
    for name in IDS:
        with load(spread_folder, variant=name) as reranker:
            ours = reranker.predict(PAIRS)
        manifest, _ = read_manifest(spread_folder)
        tokenizer = TextTokenizer.from_file(
            spread_folder / manifest.tokenizer.file, manifest.tokenizer, max_length=manifest.max_length,
            inputs=manifest.inputs,
        )  # fmt: skip
        inputs = tokenizer.batch(tokenizer.encode(PAIRS), range(len(PAIRS)))
        graph = manifest.variant(name).graph
        assert graph is not None
        assert (spread_folder / f"{graph}_data").stat().st_size > 0
        session = onnxruntime.InferenceSession(str(spread_folder / graph), providers=["CPUExecutionProvider"])
        (logits,) = session.run(["logits"], inputs)
        np.testing.assert_allclose(1 / (1 + np.exp(-logits[:, 0])), ours, atol=1e-5)
        # O3 approximates GELU, which torch does not.
        np.testing.assert_allclose(expected, ours, atol=1e-3 if name == "onnx-O3" else 1e-5)


def test_a_sidecar_is_fetched_with_its_graph(spread_folder: Path, tmp_path: Path) -> None:
    """A cache that was filled file by file holds plain files, and loads."""
    manifest, sha256 = read_manifest(spread_folder)
    entries = [*manifest.files, *manifest.variant("onnx-O1").files]
    cache = tmp_path / "cache"
    fetch_files(FolderSource(spread_folder), cache, entries, manifest_sha256=sha256, verification_cache=None)
    write(cache, manifest, manifest.variant("onnx-O1"))
    (cache / "README.md").write_bytes((spread_folder / "README.md").read_bytes())
    assert not any(path.is_symlink() for path in cache.rglob("*"))
    with load(cache, variant="onnx-O1") as cached, load(spread_folder, variant="onnx-O1") as published:
        np.testing.assert_array_equal(cached.predict(PAIRS[:4]), published.predict(PAIRS[:4]))


def test_a_truncated_sidecar_is_not_what_the_manifest_says(spread_folder: Path, opened: list[Path]) -> None:
    """Cut after publishing: found by its size."""
    path = spread_folder / "onnx/model.onnx_data"
    data = path.read_bytes()
    path.write_bytes(data[:-1])
    with pytest.raises(IntegrityError, match=rf"model\.onnx_data: expected {len(data)} bytes, found {len(data) - 1}"):
        load(spread_folder, variant="onnx")
    path.unlink()
    with pytest.raises(IntegrityError, match=r"onnx/model\.onnx_data: missing"):
        load(spread_folder, variant="onnx")
    assert not opened


def test_a_sidecar_that_was_published_truncated_is_refused(spread_folder: Path, opened: list[Path]) -> None:
    """Hashes fit, but the graph reads beyond the end of the file."""
    path = spread_folder / "onnx/model.onnx_data"
    needed = external_data(spread_folder / "onnx/model.onnx")["model.onnx_data"]
    assert needed <= path.stat().st_size < needed + 4096
    path.write_bytes(path.read_bytes()[: needed - 1])
    manifest, _ = read_manifest(spread_folder)
    write(
        spread_folder,
        manifest,
        with_files(spread_folder, manifest.variant("onnx"), "onnx/model.onnx", "onnx/model.onnx_data"),
    )
    with pytest.raises(IntegrityError, match=f"reads {needed} bytes of 'model.onnx_data', which has {needed - 1}"):
        load(spread_folder, variant="onnx")
    assert not opened


def test_a_sidecar_of_another_graph_is_refused(spread_folder: Path, opened: list[Path]) -> None:
    """Listed beside the graph, and the graph does not read it."""
    manifest, _ = read_manifest(spread_folder)
    plain = manifest.variant("onnx")
    names = [entry.path for entry in plain.files]
    (spread_folder / "onnx/model.onnx.data").write_bytes(b"left over")
    write(spread_folder, manifest, with_files(spread_folder, plain, *names, "onnx/model.onnx.data"))
    with pytest.raises(IntegrityError, match=r"does not refer to onnx/model\.onnx\.data, which the manifest lists"):
        load(spread_folder, variant="onnx")
    assert not opened


def test_a_sidecar_that_the_manifest_lacks_is_refused(spread_folder: Path, opened: list[Path]) -> None:
    """The file is there, but nobody has vouched for it."""
    manifest, _ = read_manifest(spread_folder)
    write(spread_folder, manifest, with_files(spread_folder, manifest.variant("onnx"), "onnx/model.onnx"))
    with pytest.raises(IntegrityError, match=r"refers to external data at 'model\.onnx_data', which the manifest does"):
        load(spread_folder, variant="onnx")
    assert not opened


def test_a_manifest_whose_sidecar_climbs_out_is_refused(spread_folder: Path, opened: list[Path]) -> None:
    """Such a name is refused while the manifest is read."""
    text = (spread_folder / MANIFEST_FILE).read_text().replace("onnx/model.onnx_data", "onnx/../../model.onnx_data")
    (spread_folder / MANIFEST_FILE).write_text(text)
    with pytest.raises(ManifestError, match="leaves the folder"):
        load(spread_folder, variant="onnx")
    assert not opened


def graph(*tensors: dict[str, str]) -> bytes:
    """A ModelProto whose initializers are stored elsewhere, with these keys."""
    from onnx import ModelProto, TensorProto

    model = ModelProto()
    for keys in tensors:
        tensor = model.graph.initializer.add(data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL)
        for key, value in keys.items():
            tensor.external_data.add(key=key, value=value)
    data: bytes = model.SerializeToString()
    return data


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 1 << 40), st.integers(0, 1 << 40)), max_size=8))
def test_the_bytes_that_a_graph_needs_are_its_furthest_end(
    tmp_path_factory: pytest.TempPathFactory, tensors: list[tuple[str, int, int]]
) -> None:
    """Whatever the tensors' order: per file, the largest offset and length together."""
    path = tmp_path_factory.mktemp("graph") / "model.onnx"
    keys = [{"location": name, "offset": str(at), "length": str(size)} for name, at, size in tensors]
    path.write_bytes(graph(*keys) or b"\x3a\x00")
    expected = {name: max(at + size for n, at, size in tensors if n == name) for name, _, _ in tensors}
    assert external_data(path) == expected


@pytest.mark.parametrize("value", ["-1", "1e3", "", "0x10", "9" * 40, "٣"])
@pytest.mark.parametrize("key", ["offset", "length"])
def test_an_offset_that_is_no_number_is_refused(tmp_path: Path, key: str, value: str) -> None:
    """A runtime might read it as anything."""
    path = tmp_path / "model.onnx"
    path.write_bytes(graph({"location": "weights", key: value}))
    with pytest.raises(IntegrityError, match="is not an offset or length of external data"):
        external_data(path)


def test_an_openvino_variant_has_no_other_sidecar_than_its_weights(manifest: Manifest, published: Path) -> None:
    """The .bin of the same name, and nothing else."""
    variant = manifest.variant("openvino")
    more = FileEntry(path="openvino/other.bin", size=1, sha256="0" * 64)
    check_sidecars(published, variant)
    with pytest.raises(IntegrityError, match=r"does not refer to openvino/other\.bin"):
        check_sidecars(published, msgspec.structs.replace(variant, files=(*variant.files, more)))
