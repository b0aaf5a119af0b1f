"""Which files go to large-file storage and which are ignored: .gitattributes, .gitignore, size and content."""

import codecs
from functools import lru_cache
from typing import Literal

from pathspec import GitIgnoreSpec

UploadMode = Literal["lfs", "regular"]

# A larger file is refused in git itself.
MAX_REGULAR_SIZE = 10 * 1024 * 1024

_LFS = "filter=lfs diff=lfs merge=lfs -text"
_LFS_PATTERNS = (
    "*.7z *.arrow *.bin *.bz2 *.ckpt *.ftz *.gz *.h5 *.joblib *.lfs.* *.mlmodel *.model *.msgpack *.npy *.npz *.onnx"
    " *.ot *.parquet *.pb *.pickle *.pkl *.pt *.pth *.rar *.safetensors saved_model/**/* *.tar.* *.tar *.tflite *.tgz"
    " *.wasm *.xz *.zip *.zst *tfevents*"
)
# The Hub puts this file into the first commit of every repo.
DEFAULT_GITATTRIBUTES = "".join(f"{pattern} {_LFS}\n" for pattern in _LFS_PATTERNS.split())


@lru_cache(maxsize=64)
def _rules(gitattributes: str) -> tuple[tuple[GitIgnoreSpec, bool], ...]:
    rules = []
    for line in gitattributes.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        pattern, *attributes = line.split()
        if "filter=lfs" in attributes:
            rules.append((_spec(pattern), True))
        elif {"-filter", "!filter"} & set(attributes):
            rules.append((_spec(pattern), False))
    return tuple(rules)


def _spec(pattern: str) -> GitIgnoreSpec:
    return GitIgnoreSpec.from_lines([pattern.replace("[[:space:]]", "\\ ")])


def tracked(path: str, gitattributes: str) -> bool:
    """Tell whether .gitattributes sends `path` to large-file storage; the last matching line decides."""
    return next((lfs for spec, lfs in reversed(_rules(gitattributes)) if spec.match_file(path)), False)


def track(path: str, gitattributes: str) -> str:
    """Return .gitattributes with a line for `path`, as the Hub adds one for a large file that no line covers."""
    if gitattributes and not gitattributes.endswith("\n"):
        gitattributes += "\n"
    return f"{gitattributes}{path.replace(' ', '[[:space:]]')} {_LFS}\n"


def upload_mode(path: str, size: int, sample: bytes, gitattributes: str) -> UploadMode:
    """Decide how `path` is uploaded, from the rules, its size and its first bytes."""
    if size and (tracked(path, gitattributes) or size > MAX_REGULAR_SIZE or _binary(sample)):
        return "lfs"
    return "regular"


def ignored(path: str, gitignore: str) -> bool:
    """Tell whether .gitignore excludes `path`."""
    return GitIgnoreSpec.from_lines(gitignore.splitlines()).match_file(path)


def _binary(sample: bytes) -> bool:
    try:
        # the sample may end inside a character
        text = codecs.getincrementaldecoder("utf-8")().decode(sample, final=False)
    except UnicodeDecodeError:
        return True
    return "\0" in text
