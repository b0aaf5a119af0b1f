"""`make-calibration`: a calibration set from the texts in a service's log."""

import json
import sys
from pathlib import Path

from stages.core import files, paths
from stages.core.errors import DataError, UsageError
from stages.texts.log_lines import LogFields, draw
from stages.texts.sets import require_rows


def make_calibration(
    log: str, out: str, query_field: str | None, documents_field: str | None, rows: int, seed: int
) -> None:
    """Draw pairs of texts from a log, `-` for stdin, and write them as JSON lines. Nothing else of a line is kept."""
    if (query_field is None) != (documents_field is None):
        raise UsageError("--query-field and --documents-field belong together; without them a line is QUERY<tab>TEXT.")
    if rows < 1:
        raise UsageError(f"--rows {rows}: expected at least 1.")
    target = Path(out)
    if target.suffix != ".jsonl":
        raise UsageError(f"--out {out}: expected a name that ends in .jsonl.")
    if target.exists():
        raise UsageError(f"--out {out} exists already. Remove it, or choose another name.")
    fields = LogFields(query=query_field, documents=documents_field) if query_field and documents_field else None
    if log == "-":
        found = draw(sys.stdin, fields, rows, seed)
    else:
        with Path(log).open(encoding="utf-8", errors="replace") as stream:
            found = draw(stream, fields, rows, seed)
    if not found.pairs:
        wanted = f"JSON with {query_field} and {documents_field}" if fields else "a query, a tab and a text"
        raise DataError(f"{log}: none of {found.lines:,} lines holds a pair of texts. Expected {wanted} in each line.")
    require_rows(log, len(found.pairs), "calibration")
    rows_text = "".join(
        json.dumps({"query": query, "passage": passage}, ensure_ascii=False) + "\n" for query, passage in found.pairs
    )
    files.write_file(target, rows_text.encode())
    print(
        f"{log}: {found.lines:,} lines, {found.without_pairs:,} of them without a pair; {found.read:,} pairs\n"
        f"{target}: {len(found.pairs):,} different pairs, drawn with seed {seed}. Look through them before you commit "
        "them: they are what your users wrote."
    )
    if any(target.resolve().is_relative_to(folder.resolve()) for folder in paths.DATA_FOLDERS):
        print(f"next: python -m stages use-data SLUG --calibration {target} (or `add SOURCE` with this option)")
