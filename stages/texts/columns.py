"""From rows with named columns to pairs, with every check on their values."""

from collections.abc import Iterable, Iterator
from typing import Any

from stages.core.errors import DataError
from stages.core.params import Columns
from stages.records.pairs import Classes, Pair

LARGEST_LABEL = 1e12
Rows = Iterable[tuple[str, Any]]  # where a row is, for messages, and the row


def pairs_of(rows: Rows, columns: Columns) -> Iterator[Pair]:
    """The pairs of the rows. Raises DataError that names the row and column that is wrong."""
    for where, row in rows:
        if not isinstance(row, dict):
            raise DataError(f"{where}: expected a JSON object, found a {type(row).__name__}.")
        for column in filter(None, (columns.query, columns.passage, columns.label, columns.classes)):
            if column not in row:
                raise DataError(f"{where}: no column {column!r}; it has: {', '.join(map(str, row))}.")
        query, passage = row[columns.query], row[columns.passage]
        label = row[columns.label] if columns.label else None
        if not (is_text(query) and is_text(passage)):
            raise DataError(f"{where}: {columns.query} and {columns.passage}: expected two texts that are not empty.")
        is_number = isinstance(label, int | float) and not isinstance(label, bool) and abs(label) < LARGEST_LABEL
        if columns.label and not is_number:
            raise DataError(f"{where}: {columns.label}: expected a number, found {label!r}.")
        gold = None if label is None else float(label)
        yield Pair(
            query=query, passage=passage, label=_classes(where, row, columns.classes) if columns.classes else gold
        )


def is_text(value: Any) -> bool:
    """Whether it can be scored: not empty, and without a lone surrogate, which JSON can spell and UTF-8 cannot."""
    return isinstance(value, str) and bool(value.strip()) and not any("\ud800" <= char <= "\udfff" for char in value)


def _classes(where: str, row: dict[str, Any], column: str) -> Classes:
    """Which labels apply: one or a list of indices or names."""
    value = row[column]
    found = value if isinstance(value, list | tuple) else [value]
    for one in found:
        if isinstance(one, bool) or not (isinstance(one, str) or (isinstance(one, int) and 0 <= one < LARGEST_LABEL)):
            raise DataError(
                f"{where}: {column}: expected the index or the name of a label, or a list of them, found {value!r}."
            )
    if len(set(found)) != len(found):
        raise DataError(f"{where}: {column}: duplicate label: {value!r}.")
    return tuple(found)
