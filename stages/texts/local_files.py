"""Rows of a .jsonl file in the repository."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stages.core import paths
from stages.core.errors import DataError


def local_rows(name: str, path: Path) -> Iterator[tuple[str, Any]]:
    """The objects of the file, one a line. Raises DataError for a file that DVC does not watch or that is not JSON."""
    if not any(path.is_relative_to(folder) for folder in paths.DATA_FOLDERS) or ".." in path.parts:
        folders = " or ".join(str(folder) for folder in paths.DATA_FOLDERS)
        raise DataError(f"{paths.PARAMS}: data.sets.{name}.path: expected a file below {folders}, found {path}.")
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{paths.PARAMS}: data.sets.{name}.path: {path} cannot be read: {error}.") from None
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                yield f"{path}:{number}", json.loads(line)
            except (ValueError, RecursionError) as error:
                raise DataError(f"{path}:{number}: expected a JSON object: {error}.") from None
