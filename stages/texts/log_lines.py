"""Pairs of texts out of a service's log: JSON lines, with or without something before them, or two texts and a tab."""

import hashlib
import heapq
import json
from collections.abc import Iterable, Iterator
from typing import Any

from msgspec import Struct

from stages.texts.columns import is_text

TextPair = tuple[str, str]
# Where a document is an object, its text is one of these.
TEXT_FIELDS = ("text", "content", "passage", "document", "body")


class LogFields(Struct, frozen=True, kw_only=True):
    """Dotted paths in a line's JSON, such as `request.query`: one text, and one document or a list of them."""

    query: str
    documents: str


class Sample(Struct, kw_only=True):
    """What was read, and the pairs that were drawn."""

    lines: int = 0
    without_pairs: int = 0
    read: int = 0
    pairs: tuple[TextPair, ...] = ()


def draw(lines: Iterable[str], fields: LogFields | None, rows: int, seed: int) -> Sample:
    """At most `rows` different pairs. Lines without a pair are counted and skipped.

    Pairs are drawn by a hash of the seed and their texts: the same lines give the same sample in whatever order they
    come, a repeated pair counts once, and a log of any length needs memory for the sample alone.
    """
    found = Sample()
    kept: list[tuple[int, TextPair]] = []  # a heap with the largest hash first
    numbers: set[int] = set()
    for line in lines:
        if not line.strip():
            continue
        found.lines += 1
        pairs = list(_pairs(line, fields))
        found.without_pairs += not pairs
        for pair in pairs:
            found.read += 1
            number = _number(pair, seed)
            if number in numbers or (len(kept) == rows and number > -kept[0][0]):
                continue
            numbers.add(number)
            if len(kept) == rows:
                numbers.discard(-heapq.heappushpop(kept, (-number, pair))[0])
            else:
                heapq.heappush(kept, (-number, pair))
    found.pairs = tuple(pair for _, pair in sorted(kept, reverse=True))
    return found


def _pairs(line: str, fields: LogFields | None) -> Iterator[TextPair]:
    """The pairs of one line. Without `fields`, a line is a query, a tab, and a document."""
    if fields is None:
        query, separator, document = line.rstrip("\r\n").partition("\t")
        documents: list[Any] = [document] if separator else []
        value: Any = query
    else:
        start = line.find("{")  # a log writes time and level before it
        try:
            row = json.loads(line[start:]) if start >= 0 else None
        except (ValueError, RecursionError):
            return
        value, there = _at(row, fields.query), _at(row, fields.documents)
        documents = there if isinstance(there, list) else [there]
    for document in documents:
        text = _text(document)
        if is_text(value) and is_text(text):
            yield value.strip(), text.strip()


def _at(row: Any, path: str) -> Any:
    """The value at a dotted path, or None. A key may itself hold dots."""
    if not isinstance(row, dict):
        return None
    if path in row:
        return row[path]
    head, _, rest = path.partition(".")
    return _at(row.get(head), rest) if rest else None


def _text(document: Any) -> Any:
    if isinstance(document, dict):
        return next((document[name] for name in TEXT_FIELDS if name in document), None)
    return document


def _number(pair: TextPair, seed: int) -> int:
    data = json.dumps([seed, *pair]).encode()
    return int.from_bytes(hashlib.sha256(data).digest()[:16], "big")
