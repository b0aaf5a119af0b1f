"""The fields of a variant's recipe: what an override may set, and how a library's configuration is recorded."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from stages.core import paths
from stages.core.errors import RegistryError


def check_recipe(variant_id: str, overrides: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
    """Raise RegistryError when a recipe sets a field that the library's configuration does not have, or one of another
    kind than its default: the library would ignore the first and misread the second."""
    names = sorted(defaults)
    for name, value in overrides.items():
        if name not in names:
            raise refused(variant_id, name, f"unknown field; known: {', '.join(names) or 'none'}")
        for kind in (bool, int, float, str, list, dict):
            if isinstance(defaults[name], kind):
                wanted = (int, float) if kind is float else kind
                if not isinstance(value, wanted) or (isinstance(value, bool) and kind is not bool):
                    raise refused(variant_id, name, f"expected a {kind.__name__}, found {value!r}")
                break


def check_kinds(variant_id: str, overrides: Mapping[str, Any], kinds: Mapping[str, Any]) -> None:
    """Raise RegistryError when a value is not of its field's type, as the library annotates it: a default of null, or
    an empty list, says less. Types that msgspec does not know are not checked."""
    for name, value in overrides.items():
        if name in kinds:
            try:
                msgspec.convert(value, kinds[name])
            except msgspec.ValidationError as error:
                raise refused(variant_id, name, str(error)) from None
            except TypeError:
                continue


def check_words(variant_id: str, overrides: Mapping[str, Any], words: Mapping[str, Sequence[str]]) -> None:
    """Raise RegistryError when a value, or an item of a list, is none of the words that its field takes."""
    for name, value in overrides.items():
        for each in value if isinstance(value, list) else [value]:
            if name in words and each not in words[name]:
                raise refused(variant_id, name, f"expected one of {', '.join(words[name])}, found {each!r}")


def refused(variant_id: str, name: str, problem: str) -> RegistryError:
    """The error of one field. A recipe may stand in either file."""
    where = ".".join(filter(None, ("recipes", variant_id, name)))
    return RegistryError(f"{paths.PARAMS} or {paths.REGISTRY}: {where}: {problem}.")


def plain(value: Any) -> Any:
    """A library's configuration as JSON values: enumerations become their names, callables and paths are left out."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items() if not callable(item)}
    if isinstance(value, list | tuple | set | frozenset):
        items = [plain(item) for item in value]
        return sorted(items, key=str) if isinstance(value, set | frozenset) else items
    if hasattr(value, "name") and hasattr(value, "value"):
        return value.name
    return value if isinstance(value, str | int | float | bool | None) else str(value)
