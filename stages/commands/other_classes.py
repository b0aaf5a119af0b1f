"""Records of other classes of machine: what was packed is proven on one of each, and the records are added here."""

from dataclasses import replace
from pathlib import Path

from msgspec import structs

from stages.commands.record import add_records
from stages.commands.record_checks import packed_manifest
from stages.core import files
from stages.core.errors import BuildError
from stages.fleet import ray_cluster, workspace
from stages.fleet.driver import Wish, plan_of
from stages.fleet.lock_blocks import of_models, read_blocks
from stages.fleet.progress import Progress
from stages.fleet.selection import select
from stages.fleet.workspace import Order

RECORDS = Path(".dvc/tmp/fleet/records")
GRAPHS = 4  # in memory at once, of the largest size: two sessions, each with what it was read from
RUNTIMES_BYTES = 10**9


def prove_on(wish: Wish, classes: list[str]) -> int:
    """Prove every wished model that is packed on a machine of each class; the number of records that were added.

    Raises:
        BuildError: naming each model that could not be proven, after the other records were added.
        RegistryError: a record is not what it says; none is added then.
    """
    assert wish.cluster is not None
    plan = structs.replace(plan_of(wish, workspace.common_archive()), proves=True)
    orders = packed_orders(wish)
    written: list[str] = []
    failed: list[str] = []
    for name in classes:
        cluster = replace(wish.cluster, host_class=name, share=1)  # alone: it is timed
        with Progress(total=len(orders), up_to_date=0) as progress:
            for found in ray_cluster.build_all(plan, orders, cluster, progress) if orders else ():
                progress.end(found)
                if found.failed:
                    failed.append(f"{found.slug} on {name}: {found.failed}")
                    continue
                path = RECORDS / f"{found.slug}-{name}.json"
                files.write_file(path, found.record.encode())
                written.append(path.as_posix())
    if written:
        add_records(written)
    if failed:
        raise BuildError("\n".join(failed))
    return len(written)


def packed_orders(wish: Wish) -> list[Order]:
    """Those that the lock says were packed; the others failed to build, which was said already."""
    packed = of_models(read_blocks())
    orders = select(wish.slugs, wish.target, any_host=True, force=True).orders
    return [
        structs.replace(order, memory_bytes=_memory_bytes(order.slug))
        for order in orders
        if f"{wish.target}@{order.slug}" in packed.get(order.slug, {})
    ]


def _memory_bytes(slug: str) -> int:
    """What proving a model may take."""
    sizes = [variant.size_bytes for variant in packed_manifest(slug).variants]
    return RUNTIMES_BYTES + GRAPHS * max(sizes, default=0)
