"""Which columns of somebody's file hold query, passage and label: guessed from common names, or as the user says."""

import re
from collections.abc import Sequence
from typing import Literal, get_args

from stages.core.errors import DataError, UsageError
from stages.core.params import Columns

Role = Literal["query", "passage", "label", "classes"]
ROLES: tuple[Role, ...] = get_args(Role)
# In order of preference; compared without case, spaces, dashes and underscores.
NAMES: dict[Role, tuple[str, ...]] = {
    "query": (
        *("query", "querytext", "question", "questiontext", "sentence1", "text1", "texta", "premise", "anchor"),
        *("searchterm", "searchquery", "search", "prompt", "input", "q", "text"),
    ),
    "passage": (
        *("passage", "passagetext", "document", "documenttext", "doc", "answer", "sentence2", "text2", "textb"),
        *("hypothesis", "positive", "context", "response", "candidate", "body", "content", "chunk", "p", "d", "text"),
    ),
    "label": (
        *("label", "relevance", "score", "relevancescore", "relevancelabel", "rel", "similarity", "similarityscore"),
        *("relevant", "isrelevant", "grade", "rating", "gold", "goldlabel", "target", "y"),
    ),
    "classes": (
        *("classes", "labels", "label", "class", "category", "categories", "intent", "goldlabel", "labeltext"),
        *("target", "y"),
    ),
}


def parse_columns(text: str) -> dict[Role, str]:
    """`query=q,passage=p,label=y` as a mapping; `label=` says that there is none. Raises UsageError for anything
    else."""
    found: dict[Role, str] = {}
    for part in text.split(","):
        name, separator, column = (piece.strip() for piece in part.partition("="))
        role = next((role for role in ROLES if role == name), None)
        if role is None or not separator or role in found or (not column and role in ("query", "passage")):
            raise UsageError(
                f"--columns {text!r}: expected {', '.join(ROLES)}, each at most once: query=q,passage=p,label=y."
            )
        found[role] = column
    if "label" in found and "classes" in found:
        raise UsageError(f"--columns {text!r}: expected one of label and classes.")
    return found


def guess_columns(
    where: str, header: Sequence[str], given: dict[Role, str], gold: Literal["label", "classes"] | None
) -> Columns:
    """The columns of a file with this header. `gold` is the kind of label that is looked for, if any.

    Raises DataError where a text is not found, or a column that the user named.
    """
    for role, column in given.items():
        if column and column not in header and (role in ("query", "passage") or gold is not None):
            raise DataError(f"{where}: no column {column!r} ({role}); it has: {', '.join(header)}.")
    found: dict[Role, str] = {role: column for role, column in given.items() if role in ("query", "passage")}
    for role in ("query", "passage"):
        guess = _first(NAMES[role], [name for name in header if name not in found.values()])
        if role not in found and guess:
            found[role] = guess
    missing = [role for role in ("query", "passage") if role not in found]
    if missing:
        raise DataError(
            f"{where}: no column is named like a {' or a '.join(missing)}; it has: {', '.join(header)}. "
            "Name them, for example --columns query=q,passage=p,label=y."
        )
    named = next((role for role in ("label", "classes") if role in given), None)
    if gold and named:
        if given[named]:
            found[named] = given[named]
    elif gold:
        guess = _first(NAMES[gold], [name for name in header if name not in found.values()])
        if guess:
            found[gold] = guess
    return Columns(**found)


def _first(names: Sequence[str], header: Sequence[str]) -> str | None:
    """The column whose name is the first of `names`."""
    plain = {re.sub(r"[\s_-]", "", column).lower(): column for column in reversed(header)}
    return next((plain[name] for name in names if name in plain), None)
