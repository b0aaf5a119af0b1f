"""Read YAML strictly: a key written twice is an error, and every message names its file, key path and line."""

from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml

from stages.errors import RegistryError

T = TypeVar("T")


class _StrictLoader(yaml.SafeLoader):
    """PyYAML's safe loader keeps the last of two equal keys silently; this one refuses."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} is there twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> Any:
    """The parsed file. Raises RegistryError when it is missing, not YAML, or holds a key twice."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise RegistryError(f"{path}: cannot be read: {error.strerror}.") from None
    return parse_yaml(text, path)


def parse_yaml(text: str, path: Path) -> Any:
    """`read_yaml` of text that is already there; `path` is for the message."""
    try:
        return yaml.load(text, Loader=_StrictLoader)
    except yaml.MarkedYAMLError as error:
        line = f" line {error.problem_mark.line + 1}," if error.problem_mark else ""
        raise RegistryError(f"{path}:{line} {error.problem}. Expected well-formed YAML.") from None
    except yaml.YAMLError as error:
        raise RegistryError(f"{path}: {error}. Expected well-formed YAML.") from None


def convert(value: Any, kind: type[T], path: Path, key_path: str) -> T:
    """`value` as `kind`, a msgspec Struct. Raises RegistryError with file and key path on the first thing wrong."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        message, _, inner = str(error).partition(" - at `$")
        message = message.replace("Object contains unknown field", "unknown key").replace(
            "Object missing required field", "missing key"
        )
        where = (key_path + inner.rstrip("`")).lstrip(".")
        raise RegistryError(f"{path}: {where}: {message}.") from None
