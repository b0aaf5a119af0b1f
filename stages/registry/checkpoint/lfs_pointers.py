"""Git LFS leaves a pointer of three lines where a file was not downloaded: it is recognised whatever the file is."""

from pathlib import Path

from stages.core.errors import SourceError

_FIRST_LINE = b"version https://git-lfs.github.com/spec/"
_LONGEST = 1024  # bytes; the specification's own limit


def refuse_pointers(folder: Path) -> None:
    """Raise SourceError when a file of the folder is a pointer."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.stat().st_size <= _LONGEST:
            with path.open("rb") as stream:
                if stream.read(len(_FIRST_LINE)) == _FIRST_LINE:
                    found.append(path.relative_to(folder).as_posix())
    if found:
        raise SourceError(
            f"{folder}: expected the content of {', '.join(found)}, found a Git LFS pointer: "
            "run `git lfs pull` in that repository."
        )
