"""What the SOURCE of `add` means: a name of the catalog, a folder, or a repository of the Hub."""

import os
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from stages.core.errors import UsageError
from stages.core.names import is_repo_id

HUB = "https://huggingface.co/"


def source_of(source: str, revision: str, catalog: dict[str, Any]) -> dict[str, Any]:
    """The `source` of an entry. Raises UsageError for a name of nothing, and for a path without a folder: a mistyped
    folder is not looked for on the Hub."""
    if Path(source).is_dir():
        return {"path": Path(os.path.relpath(source)).as_posix()}
    if Path(source).is_file():
        raise UsageError(f"{source} is a file. Expected the folder of a checkpoint, saved with save_pretrained.")
    repo = source.removeprefix(HUB).rstrip("/") if source.startswith(HUB) else source
    if repo == source and _is_path(source):
        raise UsageError(f"the folder {source} does not exist.{_nearest_folder(source)}{_hub_hint(source)}")
    if not is_repo_id(repo):
        raise UsageError(
            f"{source!r} is neither a folder nor a repository id like org/name, and it is not in the catalog "
            f"({', '.join(catalog)}).{_nearest_folder(source)}"
        )
    return {"repo": repo, "revision": revision}


def _is_path(source: str) -> bool:
    """Whether it is written as a path, or starts with a folder that is here."""
    parts = source.split("/")
    written = source.startswith((".", "/", "~")) or source.endswith("/") or "\\" in source or len(parts) > 2
    return written or (len(parts) == 2 and Path(parts[0]).is_dir())


def _nearest_folder(source: str) -> str:
    """The folders beside it whose names look like it."""
    parent = Path(source).parent
    try:
        names = [path.name for path in parent.iterdir() if path.is_dir()]
    except OSError:
        return ""
    close = get_close_matches(Path(source).name, names, n=3)
    return f" Did you mean {' or '.join((parent / name).as_posix() for name in close)}?" if close else ""


def _hub_hint(source: str) -> str:
    return f" For the Hub's repository of that name, write {HUB}{source}." if is_repo_id(source) else ""
