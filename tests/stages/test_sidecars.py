"""Graphs with external data: one sidecar of one name, whole, and nothing beside it."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from stages.toolchain.onnx import sidecars
from stages.toolchain.onnx.sidecars import SidecarError, check_sidecars, normalise_sidecars

WEIGHTS: dict[str, np.ndarray[Any, Any]] = {
    "a": np.arange(600, dtype=np.float32),
    "b": np.arange(7, dtype=np.int64),
    "c": np.ones((3, 5), np.float16),
}


def write(folder: Path, spread: dict[str, str], *, offsets: dict[str, int] | None = None) -> Path:
    """A graph `model_O1.onnx` whose weights lie in the files that `spread` names; one of them in a nested graph."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: numpy_helper.from_array(value, name) for name, value in WEIGHTS.items()}
    contents: dict[str, bytearray] = {}
    for name, location in spread.items():
        data = contents.setdefault(location, bytearray(b"junk"))
        point(tensors[name], location, (offsets or {}).get(name, len(data)), len(tensors[name].raw_data))
        data += tensors[name].raw_data
        tensors[name].ClearField("raw_data")
    for location, content in contents.items():
        if not location.startswith(("/", "..")):
            (folder / location).write_bytes(bytes(content))
    branch = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["y"])],
        "branch",
        [],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT16, None)],
        [tensors["c"]],
    )
    node = helper.make_node("If", ["x"], ["z"], then_branch=branch, else_branch=branch)
    graph = helper.make_graph(
        [node, helper.make_node("Constant", [], ["k"], value=tensors["b"])],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.BOOL, [])],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT16, None)],
        [tensors["a"]],
    )
    (folder / "model_O1.onnx").write_bytes(helper.make_model(graph).SerializeToString())
    return folder / "model_O1.onnx"


def point(tensor: Any, location: str, offset: int, length: int) -> None:
    """Say that a tensor lies outside."""
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", str(offset)), ("length", str(length))):
        tensor.external_data.add(key=key, value=value)


def values(graph: Path) -> list[Any]:
    """All weights of a graph, in the order of `sidecars.tensors`, loaded by onnx itself."""
    return [numpy_helper.to_array(tensor) for tensor in sidecars.tensors(onnx.load(str(graph)))]


def names(folder: Path) -> set[str]:
    """What lies in a folder."""
    return {path.name for path in folder.iterdir()}


@given(places=st.fixed_dictionaries({}, optional={n: st.sampled_from(("weights", "x.onnx.data")) for n in WEIGHTS}))
def test_any_spread_of_weights_ends_in_one_sidecar_with_the_same_values(
    tmp_path_factory: pytest.TempPathFactory, places: dict[str, str]
) -> None:
    """Wherever an exporter puts tensors, onnx reads the same values from the graph and `<graph>_data` alone."""
    folder = tmp_path_factory.mktemp("graph")
    graph = write(folder, places)
    before = values(graph)
    (folder / "config.json").write_text("{}")
    sidecar = normalise_sidecars(folder, graph.name)
    after = values(graph)
    assert len(before) == len(after)
    assert all(np.array_equal(x, y) and x.dtype == y.dtype for x, y in zip(before, after, strict=True))
    assert names(folder) == {graph.name} | ({"model_O1.onnx_data"} if places else set())
    assert sidecar == (folder / "model_O1.onnx_data" if places else None)
    assert check_sidecars(graph) == ((graph, sidecar) if sidecar else (graph,))


def test_what_is_normal_already_keeps_its_bytes(tmp_path: Path) -> None:
    """A second call changes nothing, so a build is reproducible however often it is run."""
    graph = write(tmp_path, {"a": "p", "b": "q"})
    normalise_sidecars(tmp_path, graph.name)
    first = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    normalise_sidecars(tmp_path, graph.name)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == first


@pytest.mark.parametrize("location", ["../weights", "/etc/passwd", "a/../../weights", "C:weights", "", "a\\b"])
def test_a_location_outside_of_the_folder_is_refused(tmp_path: Path, location: str) -> None:
    """A graph cannot make the build read or rename a file elsewhere, and nothing is touched."""
    (tmp_path / "weights").write_bytes(bytes(4096))
    graph = write(tmp_path / "variant", {})
    model = onnx.load(str(graph), load_external_data=False)
    point(model.graph.initializer[0], location, 0, 2400)
    model.graph.initializer[0].ClearField("raw_data")
    graph.write_bytes(model.SerializeToString())
    with pytest.raises(SidecarError, match="refused"):
        normalise_sidecars(tmp_path / "variant", graph.name)
    assert names(tmp_path) == {"weights", "variant"}


def test_a_truncated_sidecar_is_refused_with_both_sizes(tmp_path: Path) -> None:
    """The error names the tensor, where it ends, and how much is there."""
    graph = write(tmp_path, {"a": "w"})
    (tmp_path / "w").write_bytes((tmp_path / "w").read_bytes()[:-1])
    with pytest.raises(SidecarError, match=r"model_O1\.onnx: w is cut off: a ends at byte 2404, the file has 2403"):
        normalise_sidecars(tmp_path, graph.name)


def test_a_length_that_the_shape_contradicts_is_refused(tmp_path: Path) -> None:
    """A tensor that would be read short would score wrong."""
    graph = write(tmp_path, {"a": "w"})
    model = onnx.load(str(graph), load_external_data=False)
    del model.graph.initializer[0].external_data[:]
    point(model.graph.initializer[0], "w", 0, 2396)
    graph.write_bytes(model.SerializeToString())
    with pytest.raises(SidecarError, match="a needs 2400 bytes of w, the graph says 2396"):
        check_sidecars(graph)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda w: w.unlink(), "its sidecar w is missing"),
        (lambda w: (w.rename(w.with_name("v")), w.symlink_to("v")), "symbolic link"),
        (lambda w: os.link(w, w.with_name("v")), "hard link"),
        (lambda w: w.with_name("stray.onnx_data").write_bytes(b""), r"unreferenced files beside it: stray\.onnx_data"),
    ],
)
def test_a_sidecar_that_is_not_plain_and_referred_to_is_refused(tmp_path: Path, spoil: Any, message: str) -> None:
    """Missing, linked and unreferenced files are found before a library opens or publishes them."""
    graph = write(tmp_path, {"a": "w"})
    spoil(tmp_path / "w")
    with pytest.raises(SidecarError, match=message):
        check_sidecars(graph)


def test_what_may_lie_beside_a_graph_is_named(tmp_path: Path) -> None:
    """A record beside the graph is no stray file."""
    graph = write(tmp_path, {"a": "w"})
    (tmp_path / "variant.json").write_text("{}")
    assert check_sidecars(graph, beside=("variant.json",)) == (graph, tmp_path / "w")


def test_a_file_that_is_no_graph_is_refused(tmp_path: Path) -> None:
    """Neither an absent graph nor random bytes pass."""
    with pytest.raises(SidecarError, match=r"model\.onnx: missing"):
        normalise_sidecars(tmp_path, "model.onnx")
    (tmp_path / "model.onnx").write_bytes(b"\xff" * 50)
    with pytest.raises(SidecarError, match="not a well-formed ONNX graph"):
        normalise_sidecars(tmp_path, "model.onnx")
