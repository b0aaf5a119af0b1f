"""How much memory this process may still take: what the system has, and what cgroups leave of their limits."""

from collections.abc import Iterator
from math import inf
from pathlib import Path

from artificer.host.limits import cgroup_paths
from artificer.host.reading import text_of


def available_memory(root: Path = Path("/")) -> float:
    """Bytes available without swapping; infinite where the system does not say."""
    return min(_system(text_of(root / "proc/meminfo")), cgroup_memory(root))


def cgroup_memory(root: Path = Path("/")) -> float:
    """What the tightest cgroup leaves, in bytes; infinite without a limit."""
    unified, _ = cgroup_paths(text_of(root / "proc/self/cgroup"))
    found = [inf]
    for folder in _from_mount(unified):
        base = root / "sys/fs/cgroup" / folder
        found.append(cgroup_room(*(text_of(base / f"memory.{name}") for name in ("max", "current", "stat"))))
    base = root / "sys/fs/cgroup/memory"
    names = ("limit_in_bytes", "usage_in_bytes", "stat")
    found.append(cgroup_room(*(text_of(base / f"memory.{name}") for name in names)))
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


def _system(meminfo: str) -> float:
    """What /proc/meminfo says, in bytes."""
    line = next((each for each in meminfo.splitlines() if each.startswith("MemAvailable:")), "")
    return float(line.split()[1]) * 1024 if line else inf


def _from_mount(path: str | None) -> Iterator[str]:
    """A cgroup's own folder and those above it, down to the mount itself."""
    parts = [part for part in (path or "").split("/") if part]
    if path is not None:
        for count in range(len(parts), -1, -1):
            yield "/".join(parts[:count])
