"""A graph and its sidecars as one unit: ONNX weights outside of the graph, in one file of one name.

Above 2 GB a graph cannot hold its weights. Exporters write them beside it under names of their own (one file per
tensor, `model.onnx_data`, `model.onnx.data`), and the name is in the graph. optimum and sentence-transformers look for
`<graph>_data` beside the graph in a repo (optimum.onnxruntime.modeling, `filename + "_data"`), and for nothing else.

What this module guarantees after `normalise_sidecars(folder, file_name)`:
- the folder holds the graph, at most one sidecar, called `<file_name>_data`, and nothing else;
- every tensor that is stored outside lies in that sidecar, whole, and the graph says so;
- both are plain files of their own: no symbolic link, no hard link, no path that climbs;
- a graph whose sidecar was right already keeps its bytes; one without sidecars always does.
No weight is held in memory: the graph is read without its external data, ranges of files are copied in small pieces.
"""

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from artificer.errors import IntegrityError
from artificer.external_data import external_data
from artificer.manifest import unsafe_path_reason

ALIGNMENT = 4096  # onnx's ExternalData.md: offsets at multiples of a page can be mapped into memory
PIECE_BYTES = 8 * 2**20


class SidecarError(Exception):
    """A graph's external data is not what the graph says. One line: which graph, which file, found, expected."""


@dataclass(frozen=True, slots=True)
class Span:
    """Where a tensor lies outside of the graph. `tensor` is its TensorProto; `offset` and `length` are in bytes."""

    tensor: Any
    location: str
    offset: int
    length: int


def sidecar_name(file_name: str) -> str:
    """The one name that a graph's sidecar may have."""
    return f"{file_name}_data"


def normalise_sidecars(folder: Path, file_name: str) -> Path | None:
    """Bring the external data of `folder / file_name` into one sidecar `<file_name>_data`, and remove all else.

    Returns the sidecar, or None where the graph holds all its weights.

    Raises:
        SidecarError: the file is not a graph, or refers to data that is missing, cut off, linked, or outside the
            folder. Nothing was changed then.
    """
    graph, wanted = folder / file_name, sidecar_name(file_name)
    if not _locations(graph):
        _remove_all_but(folder, {file_name})
        return None
    import onnx

    model = onnx.load(str(graph), load_external_data=False)
    spans = check_spans(folder, file_name, model)
    found = {span.location for span in spans}
    if found != {wanted}:
        if len(found) == 1:
            (folder / found.pop()).rename(folder / wanted)
            places = [(span.offset, span.length) for span in spans]
        else:
            places = _gather(folder, spans, wanted)
        for span, (offset, length) in zip(spans, places, strict=True):
            point(span.tensor, wanted, offset, length)
        partial = graph.with_name(f".{file_name}.partial")
        partial.write_bytes(model.SerializeToString(deterministic=True))
        partial.replace(graph)
    _remove_all_but(folder, {file_name, wanted})
    (folder / wanted).chmod(graph.stat().st_mode)  # onnx creates it for its owner alone
    return folder / wanted


def check_sidecars(graph: Path, *, beside: Iterable[str] = ()) -> tuple[Path, ...]:
    """The files that `graph` and its external data are, the graph first, each whole and of its own.

    Args:
        beside: names of other files that may lie in the folder; an unknown one is refused, since it would be published.

    Raises:
        SidecarError: a file is missing, cut off, linked, outside of the folder, or referred to by nobody.
    """
    locations = _locations(graph)
    if locations:
        import onnx

        check_spans(graph.parent, graph.name, onnx.load(str(graph), load_external_data=False))
    known = {graph.name, *locations, *beside}
    stray = sorted(path.name for path in graph.parent.iterdir() if path.name not in known)
    if stray:
        raise SidecarError(f"{graph.name}: unreferenced files beside it: {', '.join(stray)}")
    return (graph, *(graph.parent / name for name in sorted(locations)))


def spill(model: Any, data: Path) -> None:
    """Move the initializers of a model that are longer than a page into the new file `data`, beside where the graph
    will be saved."""
    import onnx

    with data.open("wb") as out:
        for tensor in tensors(model, attributes=False):
            if tensor.data_location == onnx.TensorProto.EXTERNAL or len(tensor.raw_data) < ALIGNMENT:
                continue
            out.write(b"\0" * (-out.tell() % ALIGNMENT))
            offset = out.tell()
            out.write(tensor.raw_data)
            tensor.ClearField("raw_data")
            tensor.data_location = onnx.TensorProto.EXTERNAL
            point(tensor, data.name, offset, out.tell() - offset)


def load(span: Span, folder: Path) -> None:
    """Put a tensor's data into the graph."""
    with (folder / span.location).open("rb") as data:
        data.seek(span.offset)
        span.tensor.raw_data = data.read(span.length)
    del span.tensor.external_data[:]
    span.tensor.ClearField("data_location")
    if not span.tensor.doc_string:
        span.tensor.ClearField("doc_string")  # onnxruntime writes an empty one beside external data


def check_spans(folder: Path, file_name: str, model: Any) -> list[Span]:
    """Every tensor of a graph (read without its data) that is stored outside of it. Raises SidecarError."""
    import onnx

    spans: list[Span] = []
    sizes: dict[str, int] = {}
    for tensor in tensors(model):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        entries = {entry.key: entry.value for entry in tensor.external_data}
        location = entries.get("location", "")
        if location not in sizes:
            sizes[location] = _size_of(folder, file_name, location)
        offset, length = _number(entries, "offset", tensor), _number(entries, "length", tensor)
        needed = _bytes_of(tensor)
        if length is not None and needed is not None and length != needed:
            raise SidecarError(
                f"{file_name}: {tensor.name} needs {needed} bytes of {location}, the graph says {length}"
            )
        length = needed if length is None else length
        if length is None:
            raise SidecarError(f"{file_name}: {tensor.name} in {location}: the graph does not say how long it is")
        if (offset or 0) + length > sizes[location]:
            raise SidecarError(
                f"{file_name}: {location} is cut off: {tensor.name} ends at byte {(offset or 0) + length}, "
                f"the file has {sizes[location]}"
            )
        spans.append(Span(tensor, location, offset or 0, length))
    return spans


def tensors(model: Any, *, attributes: bool = True) -> Iterator[Any]:
    """Every TensorProto of a model: initializers, attributes, and those of nested graphs and of functions."""
    pending: list[Any] = [model.graph, *model.functions]
    while pending:
        scope = pending.pop()
        yield from getattr(scope, "initializer", ())
        for sparse in getattr(scope, "sparse_initializer", ()):
            yield from (sparse.values, sparse.indices)
        for node in scope.node:
            for attribute in node.attribute:
                if attributes and attribute.HasField("t"):
                    yield attribute.t
                if attributes:
                    yield from attribute.tensors
                if attribute.HasField("g"):
                    pending.append(attribute.g)
                pending.extend(attribute.graphs)


def point(tensor: Any, location: str, offset: int, length: int) -> None:
    """Say where a tensor that is stored outside lies."""
    del tensor.external_data[:]
    for key, value in (("location", location), ("offset", str(offset)), ("length", str(length))):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value


def _locations(graph: Path) -> set[str]:
    try:
        return set(external_data(graph))
    except FileNotFoundError:
        raise SidecarError(f"{graph.name}: missing") from None
    except IntegrityError as error:
        raise SidecarError(str(error).rstrip(".")) from None


def _size_of(folder: Path, file_name: str, location: str) -> int:
    """The size of a sidecar, which must be a plain file of its own inside the folder."""
    reason = unsafe_path_reason(location)
    if reason:
        raise SidecarError(f"{file_name} refers to external data at {location!r}, refused: {reason}")
    path = folder / location
    if any(part.is_symlink() for part in (path, *path.parents) if folder in part.parents):
        raise SidecarError(
            f"{file_name}: {location} is a symbolic link, which onnx refuses to open. If DVC made it:"
            " `dvc config cache.type reflink,copy`, then `dvc checkout --relink`"
        )
    if not path.is_file():
        raise SidecarError(f"{file_name}: its sidecar {location} is missing")
    status = path.stat()
    if status.st_nlink > 1:
        raise SidecarError(
            f"{file_name}: {location} is a hard link, which onnx refuses to open. If DVC made it:"
            " `dvc config cache.type reflink,copy`, then `dvc checkout --relink`"
        )
    return status.st_size


def _number(entries: dict[str, str], key: str, tensor: Any) -> int | None:
    text = entries.get(key)
    if text is None:
        return None
    if not text.isdecimal():
        raise SidecarError(f"{tensor.name}: external data has the {key} {text!r}; expected a number of bytes")
    return int(text)


def _bytes_of(tensor: Any) -> int | None:
    """The bytes that a tensor of that shape and type takes; None for a type of no fixed size."""
    import onnx

    if tensor.data_type in (onnx.TensorProto.UNDEFINED, onnx.TensorProto.STRING):
        return None
    count = 1
    for dimension in tensor.dims:
        count *= dimension
    name = str(onnx.TensorProto.DataType.Name(tensor.data_type))
    if name.endswith("INT2"):
        return (count + 3) // 4
    if name.endswith("INT4") or name == "FLOAT4E2M1":
        return (count + 1) // 2
    return count * int(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)


def _gather(folder: Path, spans: list[Span], wanted: str) -> list[tuple[int, int]]:
    """Copy all spans, one after the other, into one new file; where each lies there."""
    offsets: dict[tuple[str, int, int], int] = {}  # two branches may share a tensor
    partial = folder / f".{wanted}.partial"
    with partial.open("wb") as out:
        for span in spans:
            key = (span.location, span.offset, span.length)
            if key in offsets:
                continue
            out.write(b"\0" * (-out.tell() % ALIGNMENT))
            offsets[key] = out.tell()
            with (folder / span.location).open("rb") as data:
                data.seek(span.offset)
                left = span.length
                while left:
                    piece = data.read(min(PIECE_BYTES, left))
                    out.write(piece)
                    left -= len(piece)
    partial.replace(folder / wanted)
    return [(offsets[span.location, span.offset, span.length], span.length) for span in spans]


def _remove_all_but(folder: Path, names: set[str]) -> None:
    for path in folder.iterdir():
        if path.name not in names:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
