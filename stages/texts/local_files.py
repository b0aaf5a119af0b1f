"""Rows of a file in the repository: JSON lines, or CSV."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stages.core import paths
from stages.core.errors import DataError
from stages.core.params import Columns
from stages.texts.csv_files import SUFFIXES as CSV_SUFFIXES
from stages.texts.csv_files import csv_rows

SUFFIXES = (".jsonl", *CSV_SUFFIXES)


def local_rows(name: str, path: Path, columns: Columns) -> Iterator[tuple[str, Any]]:
    """The rows of a set of params.yaml. Raises DataError for a file that DVC does not watch, or that cannot be read."""
    if not any(path.is_relative_to(folder) for folder in paths.DATA_FOLDERS) or ".." in path.parts:
        folders = " or ".join(str(folder) for folder in paths.DATA_FOLDERS)
        raise DataError(f"{paths.PARAMS}: data.sets.{name}.path: expected a file below {folders}, found {path}.")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{paths.PARAMS}: data.sets.{name}.path: {path} cannot be read: {error}.") from None
    yield from rows_of_text(path, text, columns)


def rows_of_text(path: Path, text: str, columns: Columns | None) -> Iterator[tuple[str, Any]]:
    """The rows of a file's text, each with its place; `path` also says which format it is."""
    if path.suffix.lower() in CSV_SUFFIXES:
        yield from csv_rows(path, text, columns)
        return
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
        if line.strip():
            try:
                yield f"{path}:{number}", json.loads(line)
            except (ValueError, RecursionError) as error:
                raise DataError(f"{path}:{number}: expected a JSON object: {error}.") from None
