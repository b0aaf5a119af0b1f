"""The tensors of a checkpoint, from safetensors headers alone: one file, or shards with their index."""

import json
import math
import struct
from pathlib import Path
from typing import Any, NamedTuple

from stages.core.errors import SourceError
from stages.registry.checkpoint.json_objects import Config
from stages.registry.checkpoint.needed_files import WEIGHTS, WEIGHTS_INDEX


class Tensor(NamedTuple):
    """What a header says of a tensor."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """The number of its elements."""
        return math.prod(self.shape)


def read_tensors(folder: Path) -> dict[str, Tensor]:
    """All tensors by name. Raises SourceError when a file is not whole, or the index and its shards disagree."""
    index = folder / WEIGHTS_INDEX
    tensors = _of_shards(index) if index.exists() else read_header(folder / WEIGHTS)
    if not tensors:
        raise SourceError(f"{folder}: the safetensors files hold no tensor.")
    return tensors


def refuse_quantised(config: Config) -> None:
    """Raise SourceError when the weights are integers of some other library: the reference is computed in float32."""
    if config.get("quantization_config"):
        raise SourceError(
            f"{config.path}: quantization_config: expected float weights, found weights that are quantised already. "
            "Use the checkpoint that they were made from."
        )


def _of_shards(index: Path) -> dict[str, Tensor]:
    config = Config.read(index)
    weight_map = config.get("weight_map")
    if not isinstance(weight_map, dict) or not all(isinstance(name, str) for name in weight_map.values()):
        raise config.unexpected("weight_map", "the file name of each tensor", weight_map)
    shards = sorted(set(weight_map.values()))
    if foreign := [name for name in shards if Path(name).name != name]:
        raise SourceError(f"{index}: weight_map: expected files of the same folder, found {foreign[0]!r}.")
    if missing := [name for name in shards if not (index.parent / name).is_file()]:
        raise SourceError(f"{index}: weight_map names files that are missing: {', '.join(missing)}.")
    headers = {name: read_header(index.parent / name) for name in shards}
    if absent := [tensor for tensor, shard in weight_map.items() if tensor not in headers[shard]]:
        raise SourceError(
            f"{index}: weight_map names {len(absent)} tensor(s) that are not in their shard: {absent[0]} is not in "
            f"{weight_map[absent[0]]}. Save the model again with `model.save_pretrained(folder)`."
        )
    return {tensor: headers[shard][tensor] for tensor, shard in weight_map.items()}


def read_header(path: Path) -> dict[str, Tensor]:
    """The tensors of one file, from the format's header: eight bytes of length, little-endian, then JSON.

    Raises:
        SourceError: the file is damaged or incomplete.
    """
    try:
        with path.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            if length > 100_000_000:
                raise ValueError("the header is longer than the format allows")
            header = json.loads(stream.read(length))
            header.pop("__metadata__", None)
            data = max((entry["data_offsets"][1] for entry in header.values()), default=0)
            if path.stat().st_size != 8 + length + data:
                raise ValueError(f"the file is {path.stat().st_size} bytes, its header says {8 + length + data}")
            return {name: _tensor(entry) for name, entry in header.items()}
    except (OSError, ValueError, AttributeError, LookupError, TypeError, RecursionError, struct.error) as error:
        raise SourceError(f"{path}: damaged or incomplete safetensors file: {error}.") from None


def _tensor(entry: dict[str, Any]) -> Tensor:
    shape = tuple(entry["shape"])
    if not all(type(size) is int and size >= 0 for size in shape):
        raise ValueError(f"expected a shape of whole numbers, found {shape}")
    return Tensor(str(entry["dtype"]), shape)
