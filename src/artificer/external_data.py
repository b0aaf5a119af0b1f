"""Which external data an ONNX graph asks a runtime to open, read from the file's wire format without a runtime.

Follows the field numbers of onnx.proto (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto). Only messages that can
hold a tensor are entered; weights are skipped, not read, so a graph of any size takes milliseconds.
"""

import mmap
from collections.abc import Iterator
from pathlib import Path

from artificer.errors import IntegrityError

# message -> field number -> message, for the fields that lead to tensors.
_FIELDS: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
}
_DEPTH = 64  # nested graphs; real models have two or three
_DIGITS = 19  # of the largest 64-bit number


def external_data(path: Path) -> dict[str, int]:
    """The `location` of every tensor that is stored outside of the graph, as written there; and how many bytes the file
    there must have at least for the tensors that the graph reads from it.

    Raises:
        IntegrityError: the file is not an ONNX graph.
    """
    with path.open("rb") as stream:
        if stream.seek(0, 2) == 0:
            raise IntegrityError(f"{path.name}: the file is empty.")
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            view = memoryview(data)
            try:
                return locations(view)
            except (IndexError, ValueError) as error:
                raise IntegrityError(f"{path.name} is not a well-formed ONNX graph: {error}.") from None
            finally:
                view.release()


def locations(data: memoryview) -> dict[str, int]:
    """As `external_data`, of the bytes of a ModelProto. Raises ValueError or IndexError on malformed bytes."""
    found: dict[str, int] = {}
    stack: list[tuple[str, int, int, int]] = [("model", 0, len(data), 0)]
    while stack:
        message, start, end, depth = stack.pop()
        if depth > _DEPTH:
            raise ValueError("its graphs are nested too deeply")
        children = _FIELDS[message]
        stored: dict[bytes, bytes] = {}
        for field, low, high in _fields(data, start, end):
            child = children.get(field)
            if child == "entry":
                key, value = _entry(data, low, high)
                stored[key] = value
            elif child is not None:
                stack.append((child, low, high, depth + 1))
        if (location := stored.get(b"location")) is not None:
            place = location.decode("utf-8")
            needed = _number(stored.get(b"offset", b"0")) + _number(stored.get(b"length", b"0"))
            found[place] = max(found.get(place, 0), needed)
    return found


def _number(text: bytes) -> int:
    """An offset or a length, which the format spells as decimal digits."""
    if not text.isdigit() or len(text) > _DIGITS:
        raise ValueError(f"{text[:32]!r} is not an offset or length of external data")
    return int(text)


def _fields(data: memoryview, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Each length-delimited field of the message in `data[at:end]`: number, start and end of its payload."""
    while at < end:
        tag, at = _varint(data, at, end)
        kind = tag & 7
        if kind == 0:
            _, at = _varint(data, at, end)
        elif kind == 1:
            at += 8
        elif kind == 5:
            at += 4
        elif kind == 2:
            size, at = _varint(data, at, end)
            if at + size > end:
                raise ValueError("a field reaches past the end of its message")
            yield tag >> 3, at, at + size
            at += size
        else:
            raise ValueError(f"wire type {kind} is not used by ONNX")
    if at != end:
        raise ValueError("a message ends in the middle of a field")


def _entry(data: memoryview, start: int, end: int) -> tuple[bytes, bytes]:
    parts = {number: bytes(data[low:high]) for number, low, high in _fields(data, start, end)}
    return parts.get(1, b""), parts.get(2, b"")


def _varint(data: memoryview, at: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while at < end and shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
    raise ValueError("a number is cut off")
