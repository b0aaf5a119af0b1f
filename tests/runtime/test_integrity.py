import os
import time
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from artificer.errors import ArtificerError, IntegrityError, ManifestError
from artificer.external_data import locations
from artificer.loading.integrity import Verify, check_sidecars, extra_files, verify_files
from artificer.loading.loader import load
from artificer.loading.location import read_manifest
from artificer.manifest import MANIFEST_FILE, FileEntry, Manifest, describe_file, tree_digest
from tests.runtime.conftest import Copy

IDS = ("onnx-qint8-avx512_vnni", "onnx-quint8-avx2", "openvino-qint8")


def verify(folder: Path, verification_cache: Path | None = None, mode: Verify = "cached") -> int:
    """Check all the files of a published folder; how many were hashed."""
    manifest, sha256 = read_manifest(folder)
    return verify_files(
        folder, manifest.published_files(), manifest_sha256=sha256, verification_cache=verification_cache, mode=mode
    )


def flip(path: Path, at: int, bit: int = 0) -> None:
    """Flip one bit, and put the times back as if nothing had happened."""
    status = path.stat()
    data = bytearray(path.read_bytes())
    data[at] ^= 1 << bit
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_one_flipped_bit_in_any_file_is_caught(copied: Copy, tmp_path: Path) -> None:
    """Every published file, sidecars, tokenizer and model card included: the flip is found, cached or not."""
    folder = copied(*IDS)
    time.sleep(0.15)
    files = read_manifest(folder)[0].published_files()
    verify(folder, tmp_path / "verified")
    assert verify(folder, tmp_path / "verified") == 0
    for i, entry in enumerate(files):
        at = (i * 7919) % entry.size
        flip(folder / entry.path, at, i % 8)
        for verification_cache in (tmp_path / "verified", None):
            with pytest.raises(IntegrityError, match=entry.path):
                verify(folder, verification_cache)
        flip(folder / entry.path, at, i % 8)
    assert verify(folder, mode="full") == len(files)


def test_a_flipped_bit_in_the_manifest_never_loads_other_bytes(copied: Copy) -> None:
    """Either the manifest no longer parses or validates, or what it says no longer fits, or the change is harmless."""
    folder = copied("onnx-quint8-avx2")
    path = folder / MANIFEST_FILE
    good = path.read_bytes()
    original = Manifest.from_json(good)
    for at in range(0, len(good), 97):
        flip(path, at)
        try:
            changed, _ = read_manifest(folder)
            verify(folder)
        except ArtificerError:
            pass
        else:
            assert changed.published_files() == original.published_files()
        path.write_bytes(good)


def test_a_stamp_spares_the_hashing_and_full_ignores_it(copied: Copy, tmp_path: Path) -> None:
    """The second check hashes nothing; `full` hashes all; another manifest's verification does not count."""
    folder = copied("onnx-quint8-avx2")
    time.sleep(0.15)
    count = len(read_manifest(folder)[0].published_files())
    assert verify(folder, tmp_path) == count
    assert verify(folder, tmp_path) == 0
    assert verify(folder, tmp_path, "full") == count
    files = read_manifest(folder)[0].published_files()
    assert verify_files(folder, files, manifest_sha256="f" * 64, verification_cache=tmp_path) == count


def test_a_file_that_changed_a_moment_ago_is_not_stamped(copied: Copy, tmp_path: Path) -> None:
    """Within the granularity of the time verification_cache a second change could hide: such a file is hashed again."""
    folder = copied("onnx-quint8-avx2")
    time.sleep(0.15)
    (folder / "config.json").write_bytes((folder / "config.json").read_bytes())
    verify(folder, tmp_path)
    assert verify(folder, tmp_path) == 1


@pytest.mark.parametrize("data", [b'{"manifest": 7', b"\xff", b'{"manifest": "\xff"}'])
def test_a_broken_stamp_is_no_stamp(copied: Copy, tmp_path: Path, data: bytes) -> None:
    """Whatever stands in the cache, it cannot make a file count as checked."""
    folder = copied("onnx-quint8-avx2")
    time.sleep(0.15)
    count = verify(folder, tmp_path)
    for verification in tmp_path.glob("*.json"):
        verification.write_bytes(data)
    assert verify(folder, tmp_path) == count


def test_all_wrong_files_are_named_at_once(copied: Copy) -> None:
    """Missing, shortened, linked: one error, one line for each, and nothing is opened."""
    folder = copied("onnx-quint8-avx2")
    (folder / "config.json").unlink()
    (folder / "README.md").write_text("short")
    (folder / "vocab.txt").rename(folder / "other.txt")
    (folder / "vocab.txt").symlink_to("other.txt")
    with pytest.raises(IntegrityError) as caught:
        verify(folder)
    text = str(caught.value)
    assert "config.json: missing" in text
    assert "README.md: expected 12 bytes, found 5" in text
    assert "vocab.txt: vocab.txt is a link; expected plain files" in text


def test_a_linked_folder_on_the_way_is_refused(copied: Copy) -> None:
    """A link to a folder leads out as well as a link to a file."""
    folder = copied("onnx-quint8-avx2")
    (folder / "onnx").rename(folder.parent / "elsewhere")
    (folder / "onnx").symlink_to(folder.parent / "elsewhere")
    with pytest.raises(IntegrityError, match="onnx is a link"):
        verify(folder)


@pytest.mark.parametrize(
    "path", ["../x", "/etc/passwd", "a//b", "a/./b", "a\0b", "C:x", "a\\b", "a/..", "", "b.", "\ud800"]
)
def test_a_path_that_leaves_the_folder_is_refused(tmp_path: Path, path: str) -> None:
    """No such path reaches the file system, even if a manifest object was made without validation."""
    entry = FileEntry(path=path, size=0, sha256="0" * 64)
    with pytest.raises(IntegrityError, match="refused"):
        verify_files(tmp_path, [entry], manifest_sha256="", verification_cache=None)


def test_paths_that_differ_by_case_alone_are_refused(manifest: Manifest) -> None:
    """On some file systems they are one file."""
    alias = msgspec.structs.replace(manifest.files[0], path=manifest.files[0].path.upper())
    with pytest.raises(ManifestError, match="clashes with"):
        msgspec.structs.replace(manifest, files=(*manifest.files, alias)).validate()


def test_extra_files_are_reported(copied: Copy) -> None:
    """What the manifest does not know is never opened, but a person may want to hear of it."""
    folder = copied("onnx-quint8-avx2")
    (folder / "onnx" / "evil.bin").write_bytes(b"x")
    known = [MANIFEST_FILE, *(entry.path for entry in read_manifest(folder)[0].published_files())]
    assert extra_files(folder, known) == ["onnx/evil.bin"]


def with_graph(folder: Path, data: bytes) -> Manifest:
    """The folder's manifest after its one variant's graph was replaced, its hashes put right: an attacker's publish."""
    manifest, _ = read_manifest(folder)
    (variant,) = manifest.variants
    assert variant.graph is not None
    (folder / variant.graph).write_bytes(data)
    files = (describe_file(folder, variant.graph),)
    changed = msgspec.structs.replace(variant, files=files, digest=tree_digest(files))
    made = msgspec.structs.replace(manifest, variants=(changed,))
    (folder / MANIFEST_FILE).write_bytes(made.to_json())
    return made


def varint(value: int) -> bytes:
    """A protobuf number."""
    return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + varint(value >> 7)


def message(field: int, payload: bytes) -> bytes:
    """A protobuf field that holds bytes."""
    return varint(field << 3 | 2) + varint(len(payload)) + payload


def tensor(location: str) -> bytes:
    """A TensorProto stored elsewhere."""
    return message(13, message(1, b"location") + message(2, location.encode())) + b"\x70\x01"


@pytest.mark.parametrize("location", ["../../../etc/passwd", "/etc/passwd", "model.onnx_data", "a/../../b"])
@pytest.mark.parametrize("place", ["initializer", "attribute", "subgraph", "sparse"])
def test_external_data_that_the_manifest_does_not_list_is_refused(copied: Copy, location: str, place: str) -> None:
    """Wherever in the graph the tensor hides, its location is checked before a runtime sees the graph."""
    held = {
        "initializer": message(5, tensor(location)),
        "attribute": message(1, message(5, message(5, tensor(location)))),
        "subgraph": message(1, message(5, message(6, message(5, tensor(location))))),
        "sparse": message(15, message(1, tensor(location))),
    }[place]
    folder = copied("onnx-quint8-avx2")
    made = with_graph(folder, message(7, held))
    with pytest.raises(IntegrityError, match="refers to external data at"):
        check_sidecars(folder, made.variants[0])
    with pytest.raises(IntegrityError, match="refers to external data at"):
        load(folder, variant="onnx-quint8-avx2")


def test_a_listed_sidecar_is_fine(copied: Copy) -> None:
    """The location is relative to the graph's folder, and in the manifest."""
    folder = copied("onnx-quint8-avx2")
    (variant,) = with_graph(folder, message(7, message(5, tensor("weights.bin")))).variants
    (folder / "onnx/weights.bin").write_bytes(b"w")
    check_sidecars(
        folder, msgspec.structs.replace(variant, files=(*variant.files, describe_file(folder, "onnx/weights.bin")))
    )


def test_openvino_weights_that_the_manifest_does_not_list_are_refused(manifest: Manifest, published: Path) -> None:
    """OpenVINO opens the .bin of the same name whether a manifest lists it or not."""
    variant = manifest.variant("openvino")
    alone = tuple(entry for entry in variant.files if entry.path.endswith(".xml"))
    with pytest.raises(IntegrityError, match=r"openvino_model\.bin"):
        check_sidecars(published, msgspec.structs.replace(variant, files=alone))


def test_a_file_that_is_no_graph_is_refused_before_a_runtime_sees_it(copied: Copy) -> None:
    """The hashes fit, the bytes make no sense."""
    folder = copied("onnx-quint8-avx2")
    with_graph(folder, b"\x0f not a graph")
    with pytest.raises(IntegrityError, match="not a well-formed ONNX graph"):
        load(folder, variant="onnx-quint8-avx2")


@given(st.binary(max_size=200))
def test_no_bytes_break_the_graph_reader(data: bytes) -> None:
    """Malformed bytes raise one of two errors, which the caller turns into an IntegrityError."""
    try:
        locations(memoryview(data))
    except (ValueError, IndexError):
        return


def test_a_name_that_no_file_system_takes_is_refused(tmp_path: Path) -> None:
    """Found by mutating manifests: the system's own error becomes one that names the file."""
    entry = FileEntry(path="x" * 10_000, size=0, sha256="0" * 64)
    with pytest.raises(IntegrityError, match="cannot be opened"):
        verify_files(tmp_path, [entry], manifest_sha256="", verification_cache=None)
