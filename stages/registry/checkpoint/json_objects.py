"""The JSON files of a checkpoint. What is read from them is checked here, so that a message names the file and key."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stages.core.errors import SourceError


def read_json(path: Path) -> Any:
    """The parsed file. Raises SourceError when it is not JSON, or holds text that is not Unicode."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        json.dumps(value, ensure_ascii=False).encode()  # a lone surrogate can be read, but never be written again
    except (OSError, ValueError, RecursionError) as error:
        raise SourceError(f"{path}: expected a JSON object: {error}.") from None
    return value


class Config:
    """A JSON object of a file: its keys, with messages that name them."""

    def __init__(self, path: Path, values: dict[str, Any]):
        self.path = path
        self.values = values

    @classmethod
    def read(cls, path: Path) -> "Config":
        """The object of that file. Raises SourceError when it holds none."""
        value = read_json(path)
        if not isinstance(value, dict):
            raise SourceError(f"{path}: expected a JSON object, found a {type(value).__name__}.")
        return cls(path, value)

    @classmethod
    def read_optional(cls, path: Path) -> "Config":
        """The same; an empty object where there is no such file."""
        return cls.read(path) if path.exists() else cls(path, {})

    def get(self, key: str, default: Any = None) -> Any:
        """The value as it stands in the file."""
        return self.values.get(key, default)

    def parts(self) -> Iterator[dict[str, Any]]:
        """The object, then its `text_config`: where transformers keeps the settings of a model with several parts."""
        yield self.values
        if isinstance(part := self.values.get("text_config"), dict):
            yield part

    def whole_number(self, *keys: str) -> int | None:
        """The value of the first of `keys` that is set, of the object or of its `text_config`."""
        for part in self.parts():
            for key in keys:
                value = part.get(key)
                if value is None:
                    continue
                if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                    raise self.unexpected(key, "a whole number", value)
                return value
        return None

    def choice(self, key: str, options: tuple[str, ...], default: str) -> str:
        """One of `options`."""
        value = self.values.get(key, default)
        if value not in options:
            raise self.unexpected(key, " or ".join(options), value)
        return str(value)

    def text(self, key: str) -> str | None:
        """A string, or None where the key is not set."""
        value = self.values.get(key)
        if value is not None and not isinstance(value, str):
            raise self.unexpected(key, "a string", value)
        return value

    def unexpected(self, key: str, expected: str, found: Any) -> SourceError:
        """The error for a value of the wrong kind."""
        shown = repr(found)
        return SourceError(
            f"{self.path}: {key}: expected {expected}, found {shown if len(shown) <= 80 else shown[:77] + '…'}."
        )
