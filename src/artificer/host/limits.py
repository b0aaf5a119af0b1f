"""How many cores this process may use: affinity, cgroup quotas, physical cores."""

import os
import re
import sys
from collections.abc import Iterable, Mapping
from math import floor, inf
from pathlib import Path

from artificer.host.reading import text_of

THREADS_VARIABLE = "ARTIFICER_THREADS"


def thread_count(environment: Mapping[str, str] = os.environ, root: Path = Path("/")) -> tuple[int, str]:
    """How many threads to compute with, and where that number came from.

    `ARTIFICER_THREADS` wins. Else one per physical core in the affinity mask (what both runtimes would choose if they
    saw the mask), no more than the cgroup's quota, rounded down: beyond the quota the kernel stops the process in the
    middle of a matrix product.
    """
    wish = environment.get(THREADS_VARIABLE, "")
    if wish.isdecimal() and int(wish) > 0:
        return int(wish), THREADS_VARIABLE
    cores, source = available_cores(root)
    physical = physical_cores(_siblings(root, _affinity()))
    if physical and physical < cores:
        return physical, f"{physical} physical cores in the CPU affinity mask"
    return cores, source


def available_cores(root: Path = Path("/")) -> tuple[int, str]:
    """Logical CPUs that this process may use (at least 1), and what limits them."""
    mask = len(_affinity())
    quota, source = cgroup_quota(root)
    if quota < mask:
        return max(1, floor(quota)), f"{source} of {quota:g} CPUs"
    return max(1, mask), f"{mask} CPUs in the affinity mask"


def quota_v2(cpu_max: str) -> float:
    """CPUs that a cgroup v2 `cpu.max` grants (`"150000 100000"` is 1.5); infinite for `max` or nonsense."""
    found = re.fullmatch(r"(\d+) (\d+)\s*", cpu_max)
    return int(found[1]) / int(found[2]) if found and int(found[1]) and int(found[2]) else inf


def quota_v1(quota_us: str, period_us: str) -> float:
    """CPUs that cgroup v1's `cpu.cfs_quota_us` and `cpu.cfs_period_us` grant; infinite for -1 or nonsense."""
    if not (quota_us.strip().isdecimal() and period_us.strip().isdecimal()):
        return inf
    quota, period = int(quota_us), int(period_us)
    return quota / period if quota and period else inf


def cgroup_paths(proc_self_cgroup: str) -> tuple[str | None, str | None]:
    """The process's paths in the v2 hierarchy and in v1's cpu controller, from /proc/self/cgroup; None if absent."""
    unified = cpu = None
    for line in proc_self_cgroup.splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            unified = path
        elif "cpu" in controllers.split(","):
            cpu = path
    return unified, cpu


def cgroup_quota(root: Path = Path("/")) -> tuple[float, str]:
    """The tightest CPU quota on the way from the process's cgroup to the mount, and its kind; infinite if none.

    Inside a container the process's path may not be below the mount: folders that are not there are skipped.
    """
    unified, cpu = cgroup_paths(text_of(root / "proc/self/cgroup"))
    found = [(inf, "no quota")]
    for folder in _ancestors(unified):
        found.append((quota_v2(text_of(root / "sys/fs/cgroup" / folder / "cpu.max")), "cgroup v2 quota"))
    for mount in ("cpu", "cpu,cpuacct"):
        for folder in _ancestors(cpu):
            base = root / "sys/fs/cgroup" / mount / folder
            quota = quota_v1(text_of(base / "cpu.cfs_quota_us"), text_of(base / "cpu.cfs_period_us"))
            found.append((quota, "cgroup v1 quota"))
    return min(found, key=lambda pair: pair[0])


def physical_cores(siblings: Iterable[str]) -> int:
    """Distinct cores among CPUs' `thread_siblings_list` texts; 0 when one of them is unknown."""
    texts = [text.strip() for text in siblings]
    return len(set(texts)) if all(texts) else 0


def _affinity() -> tuple[int, ...]:
    if sys.platform == "linux":
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


def _siblings(root: Path, cpus: Iterable[int]) -> list[str]:
    base = root / "sys/devices/system/cpu"
    return [text_of(base / f"cpu{cpu}/topology/thread_siblings_list") for cpu in cpus]


def _ancestors(path: str | None) -> list[str]:
    """`/a/b` to `a/b`, `a` and the empty string: folders relative to the mount; none for None."""
    if path is None:
        return []
    parts = [part for part in path.split("/") if part not in ("", ".", "..")]
    return ["/".join(parts[:end]) for end in range(len(parts), -1, -1)]
