"""Read YAML strictly: a key written twice is an error, and every message names its file, key path and line."""

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml

from stages.core.errors import RegistryError

T = TypeVar("T")
MERGE_TAG = "tag:yaml.org,2002:merge"  # the key `<<`
ANY_KEY = "[...]"  # how msgspec writes a key of a mapping


class _StrictLoader(yaml.SafeLoader):
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
        message, inner = _parts(error)
        where = (key_path + _with_keys(value, kind, inner)).lstrip(".")
        message = message.replace("Object contains unknown field", "unknown key").replace(
            "Object missing required field", "missing key"
        )
        place = _schema_at(kind, inner)
        if "enum" in place:
            choices = ", ".join(map(str, place["enum"]))
            message = f"{message.replace('Invalid enum value', 'found')}; expected one of {choices}"
        elif message.startswith("unknown key"):
            message += f"; known: {', '.join(place.get('properties', ()))}"
        raise RegistryError(": ".join(filter(None, [str(path), where, f"{message}."]))) from None


def _parts(error: msgspec.ValidationError) -> tuple[str, str]:
    """What is wrong, and where: "Expected `int`, got `str` - at `$.a.b`" becomes the message and ".a.b"."""
    message, _, inner = str(error).partition(" - at `")
    return message, inner.rpartition("$")[2].rstrip("`")


def _with_keys(value: Any, kind: Any, inner: str) -> str:
    """`inner` with the keys that msgspec leaves out of it: the first of each mapping that is wrong alone as well."""
    named = inner
    while ANY_KEY in named:
        before, _, after = named.partition(ANY_KEY)
        parents = before.strip(".").split(".")
        mapping = value
        for name in parents:
            mapping = mapping.get(name) if isinstance(mapping, dict) else None
        for key in mapping if isinstance(mapping, dict) else ():
            alone = _replaced(value, parents, {key: mapping[key]})
            try:
                msgspec.convert(alone, kind)
            except msgspec.ValidationError as error:
                if _parts(error)[1] == inner:
                    value, named = alone, f"{before}.{key}{after}"
                    break
        else:
            break
    return named


def _schema_at(kind: Any, inner: str) -> dict[str, Any]:
    """The JSON Schema of what may stand at a place."""
    schema = msgspec.json.schema(kind)

    def resolved(node: dict[str, Any]) -> dict[str, Any]:
        for option in node.get("anyOf", [node]):
            if option.get("type") != "null":
                reference = option.get("$ref", "").rpartition("/")[2]
                return dict(schema["$defs"][reference]) if reference else dict(option)
        return {}

    node = resolved(schema)
    for step in re.findall(r"\.\w+|\[[^]]*\]", inner):
        if step.startswith("."):
            node = resolved(node.get("properties", {}).get(step[1:], {}))
        else:
            rest = node.get("additionalProperties") if step == ANY_KEY and "items" not in node else node.get("items")
            node = resolved(rest) if isinstance(rest, dict) else {}
    return node


def _replaced(value: Any, keys: list[str], new: Any) -> Any:
    return {**value, keys[0]: _replaced(value[keys[0]], keys[1:], new)} if keys else new
