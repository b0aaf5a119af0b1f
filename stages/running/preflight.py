"""Whether the machine has the memory and the disk that the next stage needs, asked before it starts.

A stage that runs out of memory is killed without a message, after minutes; one that fills the disk fails in the middle
of a file. What a stage needs grows with the model: its weights in float32, times the factors of the stage's row
(stages/pipeline.py), plus what the toolchain takes for any model. docs/decisions/0018 says which factors are measured
and which are estimates.
"""

import shutil
from pathlib import Path
from typing import get_args

import msgspec

from artificer.host import thread_count
from stages.core import paths
from stages.core.capacity import (
    SKIP_VARIABLE,
    available_memory,
    checks_are_skipped,
    existing_folder,
    gigabytes,
    require_disk,
)
from stages.core.copying import shares_blocks
from stages.core.errors import BuildError, ResourceError
from stages.core.variants import Step, VariantRow, row
from stages.pipeline import Need, Stage
from stages.records.model_spec import ModelSpec, load_spec
from stages.registry.model_list import load_entry, load_lock

TOOLCHAIN_BYTES = 0.9e9  # torch, transformers, optimum and a runtime, imported
FREE_BELOW_BYTES = 2e8  # a model with smaller weights runs wherever the toolchain can be installed
OPTIONAL_KEPT = 0.55  # of an optional variant: half precision, or int8 with float embeddings


def check(slug: str, stage: Stage) -> None:
    """Raise ResourceError when `stage` would not fit; does nothing for a stage or a model that needs little."""
    if checks_are_skipped() or stage.need is None:
        return
    if stage.need.source:
        _check_source(slug, stage)
        return
    spec = _spec(slug)
    if spec is None or weight_bytes(spec) < FREE_BELOW_BYTES:
        return
    if stage.name in get_args(Step) and not _rows(spec, stage):
        return  # it builds nothing of this model
    _check_memory(spec, stage, stage.need)
    if stage.need.disk:
        _check_disk(spec, stage, stage.need)


def at_once(slug: str, stage: Stage) -> int:
    """How many variants `stage` may build side by side: as many as it builds and as a runtime would use threads, where
    memory and disk allow."""
    spec = _spec(slug)
    if spec is None or stage.need is None:
        return 1
    weights, need = weight_bytes(spec), stage.need
    memory = available_memory()[0] // _memory_bytes(spec, need)
    folder = existing_folder(paths.model(slug))
    free = shutil.disk_usage(folder).free - weights * _copies(need.kept, folder)
    disk = free // max(1.0, weights * (need.disk - need.kept))
    return max(1, int(min(len(_rows(spec, stage)), thread_count()[0], memory, disk)))


def weight_bytes(spec: ModelSpec) -> int:
    """The weights in float32: what a stage needs is a multiple of that."""
    return spec.parameters * 4


def _check_source(slug: str, stage: Stage) -> None:
    """What `fetch` downloads is known from the lock; the stage itself reports one that is missing."""
    try:
        size = sum(locked.size for locked in load_lock(slug, load_entry(slug)).files)
    except BuildError:
        return
    folder = paths.source(slug)
    if size > FREE_BELOW_BYTES:
        require_disk(folder, size, f"{stage.name} of {slug}", copies=_copies(1, folder))


def _rows(spec: ModelSpec, stage: Stage) -> list[VariantRow]:
    """The variants of the model that the stage builds."""
    return [each for variant in spec.variants if (each := row(variant)).step == stage.name]


def _memory_bytes(spec: ModelSpec, need: Need) -> float:
    return TOOLCHAIN_BYTES + need.memory * weight_bytes(spec)


def _check_memory(spec: ModelSpec, stage: Stage, need: Need) -> None:
    wanted = _memory_bytes(spec, need)
    available, limit = available_memory()
    if wanted > available:
        raise ResourceError(
            f"{stage.name} of {spec.slug} needs about {gigabytes(wanted)} of memory "
            f"({spec.parameters / 1e6:.0f} M parameters); {gigabytes(available)} are available ({limit}). Stop other "
            f"programs, run it on a larger machine, or set {SKIP_VARIABLE}=1 to try anyway."
        )


def _check_disk(spec: ModelSpec, stage: Stage, need: Need) -> None:
    folder, weights = paths.model(spec.slug), weight_bytes(spec)
    optional = sum(each.optional for each in _rows(spec, stage))
    copies = _copies(need.kept + OPTIONAL_KEPT * optional, folder)
    what = f"{stage.name} of {spec.slug}"
    require_disk(folder, weights * (need.disk - need.kept), what, copies=1, extra=weights * copies)


def _copies(kept: float, folder: Path) -> float:
    """What is kept counts twice where DVC's cache cannot share its blocks."""
    return kept if shares_blocks(existing_folder(folder)) else 2 * kept


def _spec(slug: str) -> ModelSpec | None:
    """None where the stage itself reports what is missing."""
    try:
        return load_spec(slug)
    except (BuildError, msgspec.DecodeError):
        return None
