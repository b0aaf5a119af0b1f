"""The fields of a variant's recipe: what an override may set, and how a library's configuration is recorded."""

from collections.abc import Mapping
from typing import Any

from stages.core import paths
from stages.core.errors import RegistryError


def check_recipe(variant_id: str, overrides: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
    """Raise RegistryError when a recipe sets a field that the library's configuration does not have, or one of another
    kind than its default: the library would ignore the first and misread the second."""
    names = sorted(defaults)
    for name, value in overrides.items():
        where = f"{paths.PARAMS} or {paths.REGISTRY}: recipes.{variant_id}.{name}"
        if name not in names:
            raise RegistryError(f"{where}: no such field; known: {', '.join(names) or 'none'}.")
        for kind in (bool, int, float, str, list, dict):
            if isinstance(defaults[name], kind):
                wanted = (int, float) if kind is float else kind
                if not isinstance(value, wanted) or (isinstance(value, bool) and kind is not bool):
                    raise RegistryError(f"{where}: expected a {kind.__name__}, found {value!r}.")
                break


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
