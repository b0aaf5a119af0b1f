"""Whether the machine has the memory and the disk that the next stage needs, asked before it starts.

A stage that runs out of memory is killed without a word, after minutes; one that fills the disk fails in the middle of
a file. What a stage needs grows with the model: its weights in float32, times a factor per stage, plus what the
toolchain takes for any model. docs/decisions/0018 says which factors are measured and which are estimates.
"""

import os
import shutil
from collections.abc import Iterator
from math import inf
from pathlib import Path
from typing import get_args

import msgspec
import psutil
from msgspec import Struct

from artificer.host import cgroup_paths
from stages.core import paths
from stages.core.copying import shares_blocks
from stages.core.errors import BuildError, ResourceError
from stages.core.variants import Step, row
from stages.records.model_spec import ModelSpec, load_spec
from stages.registry.model_list import load_entry, load_lock

TOOLCHAIN_BYTES = 0.9e9  # torch, transformers, optimum and a runtime, imported
FREE_BELOW_BYTES = 2e8  # a model with smaller weights runs wherever the toolchain can be installed
SWITCH = "ARTIFICER_SKIP_PREFLIGHT"


class Need(Struct, frozen=True):
    """In units of the weights' size in float32. `disk` is what a stage holds at its peak, `kept` what stays of it."""

    memory: float
    disk: float = 0
    kept: float = 0


NEEDS: dict[str, Need] = {
    "reference": Need(memory=1.6),
    "export_onnx": Need(memory=4.2, disk=2.0, kept=1.0),
    "optimize": Need(memory=3.2, disk=5.7, kept=3.7),
    "quantize_onnx": Need(memory=5.4, disk=2.5, kept=1.6),
    "export_openvino": Need(memory=1.5, disk=1.0, kept=1.0),
    "quantize_openvino": Need(memory=3.2, disk=1.0, kept=0.5),
    "parity": Need(memory=3.2),
    "benchmark": Need(memory=3.2),
}
OPTIONAL_KEPT = 0.55  # of an optional variant: half precision, or int8 with float embeddings


def check(slug: str, stage: str) -> None:
    """Raise ResourceError when `stage` would not fit; does nothing for a stage or a model that needs little."""
    if os.environ.get(SWITCH):
        return
    if stage == "fetch":
        entry = load_entry(slug)
        size = sum(locked.size for locked in load_lock(slug, entry).files)
        if size > FREE_BELOW_BYTES:
            require_disk(paths.source(slug), size, f"{stage} of {slug}", copies=_copies(1, paths.source(slug)))
        return
    need, spec = NEEDS.get(stage), _spec(slug)
    if need is None or spec is None or weight_bytes(spec) < FREE_BELOW_BYTES:
        return
    if stage in get_args(Step) and not any(row(variant).step == stage for variant in spec.variants):
        return  # it builds nothing of this model
    weights, what = weight_bytes(spec), f"{stage} of {slug}"
    wanted, (there, limit) = TOOLCHAIN_BYTES + need.memory * weights, available_memory()
    if wanted > there:
        raise ResourceError(
            f"{what}: about {_gb(wanted)} of memory are needed ({spec.parameters / 1e6:.0f} M parameters), "
            f"{_gb(there)} are available ({limit}). Stop other programs, or run it on a larger machine; {SWITCH}=1 "
            "tries all the same."
        )
    if need.disk:
        folder = paths.model(slug)
        optional = sum(row(variant).optional and row(variant).step == stage for variant in spec.variants)
        copies = _copies(need.kept + OPTIONAL_KEPT * optional, folder)
        require_disk(folder, weights * (need.disk - need.kept), what, copies=1, extra=weights * copies)


def weight_bytes(spec: ModelSpec) -> int:
    """The weights in float32, which is what every stage starts from."""
    return spec.parameters * 4


def require_disk(folder: Path, size: float, what: str, *, copies: float, extra: float = 0) -> None:
    """Raise ResourceError unless the file system of `folder` has room for `size` bytes, `copies` times, and `extra`."""
    if os.environ.get(SWITCH):
        return
    where = _existing(folder)
    wanted, free = size * copies + extra, shutil.disk_usage(where).free
    if wanted > free:
        raise ResourceError(
            f"{what}: about {_gb(wanted)} of disk are needed at {folder}, {_gb(free)} are free. Make room (`dvc gc -w` "
            f"removes what no current build uses from DVC's cache); {SWITCH}=1 tries all the same."
        )


def available_memory(root: Path = Path("/")) -> tuple[float, str]:
    """Bytes that can be had without swapping, and what sets that limit: the machine, or a cgroup's limit."""
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


def _copies(kept: float, folder: Path) -> float:
    """What is kept counts twice where DVC's cache cannot share its blocks."""
    return kept if shares_blocks(_existing(folder)) else 2 * kept


def _spec(slug: str) -> ModelSpec | None:
    """None where the stage itself will say what is missing."""
    try:
        return load_spec(slug)
    except (BuildError, msgspec.DecodeError):
        return None


def _existing(path: Path) -> Path:
    return path if path.exists() else _existing(path.parent)


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


def _gb(size: float) -> str:
    return f"{size / 1e9:.1f} GB"
