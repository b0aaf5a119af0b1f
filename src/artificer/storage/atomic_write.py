"""Writing a file so that whoever reads it finds all of it, or what was there before."""

import os
from contextlib import suppress
from pathlib import Path

PARTIAL_SUFFIX = ".partial"


def write_whole(path: Path, *parts: bytes) -> None:
    """Write `parts` beside `path`, making its folder, and move the result there; nothing stays behind on failure.

    Raises:
        OSError: there is no place to write.
    """
    import tempfile  # here: a start that writes nothing does not need it

    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, suffix=PARTIAL_SUFFIX)
    partial = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.writelines(parts)
        partial.replace(path)
    except BaseException:
        with suppress(OSError):
            partial.unlink()
        raise
