"""Rows of a .csv or .tsv file: a header, then cells. Cells are texts; the columns say which become numbers."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stages.core.errors import DataError
from stages.core.params import Columns

SUFFIXES = (".csv", ".tsv")
SEPARATORS = ",;\t"
LARGEST_CELL = 2**27  # characters; the module's own limit, 131,072, is shorter than long documents


def csv_rows(path: Path, text: str, columns: Columns | None) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows by the names in the header, each with its place. Raises DataError for a row of another length."""
    csv.field_size_limit(LARGEST_CELL)
    separator = "\t" if path.suffix.lower() == ".tsv" else _separator(text)
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), delimiter=separator, strict=True)
    header: list[str] | None = None
    try:
        for cells in reader:
            if not cells:
                continue
            if header is None:
                header = [name.strip() for name in cells]
                continue
            where = f"{path}:{reader.line_num}"
            if len(cells) != len(header):
                raise DataError(f"{where}: expected {len(header)} cells, as in the header, found {len(cells)}.")
            yield where, _typed(dict(zip(header, cells, strict=True)), columns)
    except csv.Error as error:
        raise DataError(f"{path}:{reader.line_num}: expected CSV: {error}.") from None


def _separator(text: str) -> str:
    """The one that the header has most of: spreadsheets of some languages write semicolons."""
    header = text.partition("\n")[0]
    return max(SEPARATORS, key=header.count)


def _typed(row: dict[str, Any], columns: Columns | None) -> dict[str, Any]:
    """With the label as a number, and classes as an index, a name, or a JSON list of these."""
    if columns and columns.label in row:
        row[columns.label] = _number(row[columns.label])
    if columns and columns.classes in row:
        row[columns.classes] = _classes(row[columns.classes].strip())
    return row


def _number(cell: str) -> Any:
    try:
        return float(cell)
    except ValueError:
        return cell  # the check of all rows says what is wrong with it


def _classes(cell: str) -> Any:
    if cell.startswith("["):
        try:
            return json.loads(cell)
        except (ValueError, RecursionError):
            return cell
    return int(cell) if cell.isascii() and cell.isdigit() else cell
