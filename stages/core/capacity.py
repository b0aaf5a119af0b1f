"""How much memory and disk there is, and how much memory this process has used."""

import os
import resource
import shutil
import sys
from pathlib import Path

import psutil

from artificer.host.memory import cgroup_memory
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
    machine = (float(psutil.virtual_memory().available), "the machine's free memory")
    return min(machine, (cgroup_memory(root), "cgroup limit"))


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
