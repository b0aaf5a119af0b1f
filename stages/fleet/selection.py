"""Which models a run builds, and their orders."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from msgspec import structs

from stages.core import paths
from stages.core.errors import BuildError, UsageError
from stages.fleet import freshness, lock_blocks, workspace
from stages.fleet.workspace import Order
from stages.pipeline import STAGES
from stages.registry import model_list
from stages.running.preflight import TOOLCHAIN_BYTES

BYTES_OF_A_WEIGHT = 1.0  # a checkpoint's files are at most float32: an upper bound of what weights take


@dataclass(slots=True)
class Selection:
    """The orders of models that need work; how many are up to date; and what keeps a model from being built."""

    orders: list[Order] = field(default_factory=list)
    up_to_date: int = 0
    problems: dict[str, str] = field(default_factory=dict)


def select(slugs: Iterable[str], target: str, *, any_host: bool, force: bool = False) -> Selection:
    """The named models, or all. Raises UsageError for an unknown one."""
    written = model_list.raw_entries()
    wanted = [*slugs] or [*written]
    if unknown := [slug for slug in wanted if slug not in written]:
        raise UsageError(f"{paths.REGISTRY}: models: unknown model {unknown[0]!r}; known: {', '.join(written)}.")
    blocks = lock_blocks.of_models(lock_blocks.read_blocks())
    inputs = freshness.Inputs.read()
    names = freshness.model_stages(target)
    found = Selection()
    for slug in wanted:
        own = blocks.get(slug, {})
        fresh = freshness.stale_stage(slug, names, own, inputs, any_host=any_host) is None
        if fresh and not force and (any_host or paths.package(slug).is_dir()):
            found.up_to_date += 1
            continue
        try:
            entry = model_list.check_entry(slug, written[slug], paths.REGISTRY)
            order = workspace.order_of(slug, written[slug], entry, own)
        except BuildError as error:
            found.problems[slug] = str(error)
            continue
        size = sum(file.size for file in model_list.load_lock(slug, entry).files)
        found.orders.append(structs.replace(order, memory_bytes=memory_bytes(size)))
    return found


def memory_bytes(checkpoint_bytes: int) -> int:
    """What building a model may take, as pre-flight estimates it for the stage that needs most."""
    most = max((row.need.memory for row in STAGES if row.need is not None), default=0.0)
    return int(TOOLCHAIN_BYTES + most * BYTES_OF_A_WEIGHT * checkpoint_bytes)
