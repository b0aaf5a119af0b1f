"""Everything in a parsed file that does not fit a msgspec Struct. msgspec itself stops at the first mistake."""

from collections.abc import Iterator
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

import msgspec


class Mistake(NamedTuple):
    """What is wrong, and where: a key path such as `.a.b[0]`, empty at the top."""

    where: str
    message: str


def mistakes(value: Any, kind: Any, where: str = "") -> Iterator[Mistake]:
    """Walk through a value and its type together. Messages are msgspec's, and list the possible words."""
    plain = _plain(kind)
    if isinstance(plain, type) and issubclass(plain, msgspec.Struct) and isinstance(value, dict):
        fields = {field.encode_name: field for field in msgspec.structs.fields(plain)}
        if plain.__struct_config__.forbid_unknown_fields:
            for key in value:
                if key not in fields:
                    yield Mistake(where, f"unknown key `{key}`; known: {', '.join(fields)}")
        for name, field in fields.items():
            if name in value:
                yield from mistakes(value[name], field.type, f"{where}.{name}")
            elif field.required:
                yield Mistake(where, f"missing key `{name}`")
    elif get_origin(plain) is dict and isinstance(value, dict):
        key_kind, item_kind = get_args(plain)
        for key, item in value.items():
            yield from _mistake(key, key_kind, where, is_key=True)
            yield from mistakes(item, item_kind, f"{where}.{key}")
    elif get_origin(plain) is tuple and isinstance(value, list | tuple):
        for place, item in enumerate(value):
            yield from mistakes(item, get_args(plain)[0], f"{where}[{place}]")
    else:
        yield from _mistake(value, kind, where)


def _mistake(value: Any, kind: Any, where: str, *, is_key: bool = False) -> Iterator[Mistake]:
    """What msgspec says of one value."""
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        message = str(error).partition(" - at `")[0]
        plain = _plain(kind)
        if get_origin(plain) is Literal and not is_key:
            choices = ", ".join(sorted(map(str, get_args(plain))))
            message = f"{message.replace('Invalid enum value', 'found')}; expected one of {choices}"
        yield Mistake(where, message)


def _plain(kind: Any) -> Any:
    """A type without its limits, and without null."""
    if get_origin(kind) is Annotated:
        return _plain(get_args(kind)[0])
    if get_origin(kind) in (Union, UnionType):
        others = [each for each in get_args(kind) if each is not NoneType]
        return _plain(others[0]) if len(others) == 1 else kind
    return kind
