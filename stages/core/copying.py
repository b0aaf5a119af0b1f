"""Copy a file without writing its bytes again, where the file system can share them; never a link.

A reflink (btrfs, XFS, bcachefs) is a file of its own whose blocks are shared until one of the two is written to: no
space, no time. Symbolic and hard links are refused by onnx and onnxruntime for sidecars, and would let a change of one
file reach the other.
"""

import contextlib
import shutil
import tempfile
from pathlib import Path

_FICLONE = 0x40049409  # linux/fs.h: _IOW(0x94, 9, int)


def copy_file(source: Path, target: Path) -> bool:
    """Make `target` a new file with the bytes of `source`; whether the file system shared them.

    Raises:
        OSError: the source cannot be read, or the target cannot be written.
    """
    with source.open("rb") as data, target.open("wb") as out:
        if _clone(data.fileno(), out.fileno()):
            return True
    shutil.copyfile(source, target)
    return False


def _clone(source: int, target: int) -> bool:
    try:
        import fcntl
    except ImportError:  # Windows
        return False
    with contextlib.suppress(OSError):  # another file system, or one without reflinks
        fcntl.ioctl(target, _FICLONE, source)
        return True
    return False


def shares_blocks(folder: Path) -> bool:
    """Whether files in `folder` can be copied without space, found out with two small ones."""
    with tempfile.TemporaryDirectory(prefix=".probe", dir=folder) as name:
        one = Path(name, "one")
        one.write_bytes(b"\0" * 4096)
        return copy_file(one, Path(name, "two"))
