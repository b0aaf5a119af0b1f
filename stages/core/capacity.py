"""How much memory and disk there is, and how much memory this process has used."""

import os
import resource
import shutil
import sys
from collections.abc import Iterator
from math import inf
from pathlib import Path

import psutil

from artificer.host import cgroup_paths
from stages.core.errors import ResourceError

SKIP_VARIABLE = "ARTIFICER_SKIP_PREFLIGHT"


def checks_are_skipped() -> bool:
    """Whether the user asked to try whatever the machine seems to lack."""
    return bool(os.environ.get(SKIP_VARIABLE))


def require_disk(folder: Path, size: float, what: str, *, copies: float, extra: float = 0) -> None:
    """Raise ResourceError unless the file system of `folder` has room for `size` bytes, `copies` times, and `extra`."""
    if checks_are_skipped():
        return
    wanted, free = size * copies + extra, shutil.disk_usage(existing_folder(folder)).free
    if wanted > free:
        raise ResourceError(
            f"{what} needs about {gigabytes(wanted)} of disk at {folder}; {gigabytes(free)} are free. Make room "
            f"(`dvc gc -w` removes what no current build uses from DVC's cache); set {SKIP_VARIABLE}=1 to try anyway."
        )


def available_memory(root: Path = Path("/")) -> tuple[float, str]:
    """Bytes available without swapping, and what sets that limit: the machine, or a cgroup's limit."""
    found = [(float(psutil.virtual_memory().available), "the machine's free memory")]
    unified, _ = cgroup_paths(_text(root / "proc/self/cgroup"))
    for folder in _from_mount(unified):
        base = root / "sys/fs/cgroup" / folder
        found.append((cgroup_room(*(_text(base / f"memory.{n}") for n in ("max", "current", "stat"))), "cgroup limit"))
    base = root / "sys/fs/cgroup/memory"
    names = ("limit_in_bytes", "usage_in_bytes", "stat")
    found.append((cgroup_room(*(_text(base / f"memory.{n}") for n in names)), "cgroup limit"))
    return min(found)


def cgroup_room(limit: str, current: str, stat: str) -> float:
    """What a cgroup's limit leaves, in bytes: cached files count as used there, and are given back when needed.

    Takes the texts of memory.max, memory.current and memory.stat (v2), or of v1's files; infinite without a limit.
    """
    if not limit.strip().isdecimal() or not current.strip().isdecimal() or int(limit) >= 2**60:
        return inf
    fields = dict(line.split(maxsplit=1) for line in stat.splitlines() if " " in line)
    cached = int(fields.get("file") or fields.get("total_cache") or 0)
    return max(0.0, int(limit) - int(current) + cached)


def peak_memory_bytes() -> int:
    """This process's peak resident set. Linux keeps it per program image; getrusage may count the parent's."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def existing_folder(path: Path) -> Path:
    """The folder itself, or the nearest one above it that exists."""
    return path if path.exists() else existing_folder(path.parent)


def gigabytes(size: float) -> str:
    """A size as text."""
    return f"{size / 1e9:.1f} GB"


def _from_mount(path: str | None) -> Iterator[str]:
    """A cgroup's own folder and those above it, down to the mount itself."""
    parts = [part for part in (path or "").split("/") if part]
    if path is not None:
        for count in range(len(parts), -1, -1):
            yield "/".join(parts[:count])


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
