"""Read YAML strictly: a key written twice is an error, and every message names its file, key path and line."""

import contextlib
from collections.abc import Hashable
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml

from stages.core.errors import RegistryError
from stages.core.mistakes import mistakes

T = TypeVar("T")
MERGE_TAG = "tag:yaml.org,2002:merge"  # the key `<<`


class _Strict(yaml.constructor.SafeConstructor):
    """PyYAML's safe loader keeps the last of two equal keys silently; this one refuses."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if key_node.tag == MERGE_TAG:
                continue
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise yaml.constructor.ConstructorError(None, None, "a key must be a plain value", key_node.start_mark)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"duplicate key {key!r}", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


class _StrictLoader(_Strict, yaml.SafeLoader):
    """In Python: slow, with PyYAML's own messages."""


# libyaml's parser reads a thousand entries ten times as fast; its messages are others.
_FAST_LOADER: type[Any] = (
    type("_FastLoader", (_Strict, yaml.CSafeLoader), {}) if hasattr(yaml, "CSafeLoader") else _StrictLoader
)


def read_yaml(path: Path) -> Any:
    """The parsed file. Raises RegistryError when it is missing, not YAML, or holds a key twice."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise RegistryError(f"{path}: expected UTF-8: {error}.") from None
    except OSError as error:
        raise RegistryError(f"{path}: cannot be read: {error.strerror}.") from None
    return parse_yaml(text, path)


def parse_yaml(text: str, path: Path) -> Any:
    """`read_yaml` of text that is already there; `path` is for the message."""
    with contextlib.suppress(yaml.YAMLError):
        return yaml.load(text, Loader=_FAST_LOADER)
    try:
        return yaml.load(text, Loader=_StrictLoader)
    except yaml.MarkedYAMLError as error:
        line = f" line {error.problem_mark.line + 1}," if error.problem_mark else ""
        raise RegistryError(f"{path}:{line} {error.problem}. Expected well-formed YAML.") from None
    except yaml.YAMLError as error:
        raise RegistryError(f"{path}: {error}. Expected well-formed YAML.") from None


def convert(value: Any, kind: type[T], path: Path, key_path: str) -> T:
    """`value` as `kind`, a msgspec Struct. Raises RegistryError with file and key path of everything that is wrong, a
    line each."""
    found = [
        ": ".join(filter(None, [str(path), f"{key_path}{where}".lstrip("."), f"{message}."]))
        for where, message in mistakes(value, kind)
    ]
    if found:
        raise RegistryError("\n".join(found))
    return msgspec.convert(value, kind)
