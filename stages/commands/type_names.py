"""Types as a reference page names them."""

import msgspec
from msgspec import inspect


def type_name(found: inspect.Type) -> str:
    """A type in words: `text`, `whole number, at least 1`, `list of text`."""
    if isinstance(found, inspect.UnionType):
        kinds = [each for each in found.types if not isinstance(each, inspect.NoneType)]
        names = " or ".join(type_name(each) for each in kinds)
        return names + (" or null" if len(kinds) < len(found.types) else "")
    if isinstance(found, inspect.Metadata):
        return type_name(found.type)
    if isinstance(found, inspect.LiteralType):
        return " or ".join(f"`{value}`" for value in found.values)
    if isinstance(found, inspect.VarTupleType | inspect.ListType):
        return f"list of {type_name(found.item_type)}"
    if isinstance(found, inspect.DictType):
        return f"mapping of {type_name(found.value_type)}"
    if isinstance(found, inspect.StructType):
        return "a section of its own"
    if isinstance(found, inspect.IntType | inspect.FloatType):
        return _number("whole number" if isinstance(found, inspect.IntType) else "number", found)
    if isinstance(found, inspect.StrType):
        return "text"
    if isinstance(found, inspect.BoolType):
        return "`true` or `false`"
    return "anything"


def structs_of(found: inspect.Type) -> list[inspect.StructType]:
    """The structs in a type, where a key can lead."""
    if isinstance(found, inspect.UnionType):
        return [each for kind in found.types for each in structs_of(kind)]
    if isinstance(found, inspect.VarTupleType | inspect.ListType):
        return structs_of(found.item_type)
    if isinstance(found, inspect.DictType):
        return structs_of(found.value_type)
    return [found] if isinstance(found, inspect.StructType) else []


def default(field: inspect.Field) -> str:
    """What an omitted key means."""
    if field.required:
        return "an error"
    value = field.default
    if value is msgspec.NODEFAULT:
        value = field.default_factory()
    if isinstance(value, msgspec.Struct):
        return "see its table"
    return f"`{msgspec.json.encode(value).decode()}`"


def _number(name: str, found: inspect.IntType | inspect.FloatType) -> str:
    bounds = [("at least", found.ge), ("more than", found.gt), ("at most", found.le), ("less than", found.lt)]
    stated = [f"{words} {bound:g}" for words, bound in bounds if bound is not None]
    return ", ".join([name, *stated])
