"""Add an item to a mapping in the user's YAML file, or remove one. Every other byte stays as it was.

The file's structure comes from PyYAML's marks; what is written is checked by parsing the file again.
"""

from pathlib import Path
from typing import Any

import yaml

from stages.core.errors import RegistryError
from stages.core.yaml_files import parse_yaml


def add_item(text: str, path: Path, keys: tuple[str, ...], name: str, item: str) -> str:
    """`text` with `name` as the last item of the mapping at `keys`. `item` is its YAML in flow style, on one line.

    Raises RegistryError if there is no such mapping, it has an item of that name, or it cannot be edited.
    """
    mapping = _mapping(text, path, keys)
    where = ".".join(keys)
    if name in _value(text, path, keys):
        raise RegistryError(f"{path}: {where}.{name} exists already.")
    if mapping.flow_style:
        end = mapping.end_mark.index - 1  # of the closing brace
        separator = ", " if mapping.value else ""
        updated = f"{text[:end].rstrip()}{separator}{name}: {item}{text[end:]}"
    else:
        indent = " " * mapping.value[0][0].start_mark.column
        end = _line_end(text, _last_mark(mapping).index)
        line_break = "" if text[:end].endswith("\n") else "\n"
        updated = f"{text[:end]}{line_break}{indent}{name}: {item}\n{text[end:]}"
    expected = {**_value(text, path, keys), name: yaml.safe_load(item)}
    _check(updated, text, path, keys, expected, f"{where}.{name} could not be added; write it by hand: {name}: {item}")
    return updated


def remove_item(text: str, path: Path, keys: tuple[str, ...], name: str) -> str:
    """`text` without the item `name` of the mapping at `keys`, and without the empty line before it.

    A mapping that is empty then becomes `{}`. Comments outside of the item stay. Raises RegistryError if there is no
    such item, or it cannot be removed.
    """
    mapping = _mapping(text, path, keys)
    expected = dict(_value(text, path, keys))
    where = ".".join(keys)
    pair = next((pair for pair in mapping.value if str(yaml.safe_load(_source(text, pair[0]))) == name), None)
    if pair is None:
        raise RegistryError(f"{path}: {where}: unknown key {name!r}; known: {', '.join(map(str, expected)) or 'none'}.")
    problem = f"{where}.{name} could not be removed; remove it by hand"
    if mapping.flow_style:
        raise RegistryError(f"{path}: {problem}.")
    start = text.rfind("\n", 0, pair[0].start_mark.index) + 1
    end = _line_end(text, _last_mark(pair[1]).index)
    if len(mapping.value) == 1:
        colon = text.index(":", _key(text, keys).end_mark.index) + 1
        updated = f"{text[:colon]} {{}}{text[colon:start]}{text[end:]}"
    else:
        before = text[:start]
        updated = (before[:-1] if before.endswith("\n\n") else before) + text[end:]
    expected.pop(name, None)
    _check(updated, text, path, keys, expected, problem)
    return updated


def _mapping(text: str, path: Path, keys: tuple[str, ...]) -> yaml.MappingNode:
    parse_yaml(text, path)  # a message of our own for what is not YAML
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    for place, key in enumerate(keys):
        found = [value for name, value in node.value if name.value == key] if isinstance(node, yaml.MappingNode) else []
        if not found:
            raise RegistryError(f"{path}: {'.'.join(keys[: place + 1])}: expected a mapping.")
        node = found[0]
    if not isinstance(node, yaml.MappingNode):
        raise RegistryError(f"{path}: {'.'.join(keys)}: expected a mapping.")
    return node


def _key(text: str, keys: tuple[str, ...]) -> yaml.Node:
    """The node of the last key."""
    node: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    for key in keys:
        found, node = next(pair for pair in node.value if pair[0].value == key)
    key_node: yaml.Node = found
    return key_node


def _value(text: str, path: Path, keys: tuple[str, ...]) -> dict[Any, Any]:
    value: dict[Any, Any] = parse_yaml(text, path)
    for key in keys:
        value = value[key]
    return value


def _last_mark(node: yaml.Node) -> yaml.Mark:
    """Where the last value in a node ends. The mark of a block collection itself lies after the comments behind it."""
    if isinstance(node, yaml.MappingNode) and not node.flow_style and node.value:
        return _last_mark(node.value[-1][1])
    if isinstance(node, yaml.SequenceNode) and not node.flow_style and node.value:
        return _last_mark(node.value[-1])
    return node.end_mark


def _line_end(text: str, index: int) -> int:
    """The start of the next line. A block scalar's mark lies at the start of a line already."""
    if index and text[index - 1] == "\n":
        return index
    end = text.find("\n", index)
    return len(text) if end < 0 else end + 1


def _source(text: str, node: yaml.Node) -> str:
    return text[node.start_mark.index : node.end_mark.index]


def _check(updated: str, text: str, path: Path, keys: tuple[str, ...], expected: Any, problem: str) -> None:
    """The mapping must be what is expected, and everything else what it was."""
    wanted = parse_yaml(text, path)
    parent = wanted
    for key in keys[:-1]:
        parent = parent[key]
    parent[keys[-1]] = expected
    try:
        found = parse_yaml(updated, path)
    except RegistryError:
        found = None
    if found != wanted:
        raise RegistryError(f"{path}: {problem}.")
