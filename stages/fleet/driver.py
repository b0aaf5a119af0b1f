"""A run over many models: select, build on this machine or on a cluster, keep each result, merge once, report."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from stages.core import paths
from stages.core.errors import BuildError, UsageError
from stages.core.params import load_params
from stages.fleet import fragments, pulled_packages, ray_cluster, report_of_all, workspace
from stages.fleet.fragments import Fragment, order_digest
from stages.fleet.lock_blocks import merged, read_blocks, write_blocks
from stages.fleet.progress import Progress
from stages.fleet.ray_cluster import Cluster
from stages.fleet.runner import Plan, run_order
from stages.fleet.selection import Selection, select
from stages.fleet.workspace import Order
from stages.registry import model_list

WORKSPACES = Path(".dvc/tmp/fleet/workspaces")
CACHE = Path(".dvc/cache")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a run is asked for. `cluster` is None for a loop on this machine."""

    slugs: tuple[str, ...]
    target: str
    cluster: Cluster | None = None
    resume: bool = False
    with_remote: bool = False
    single: bool = False  # the target alone, on what the lock names


def run(wish: Wish) -> None:
    """Build what is not up to date, and merge. Raises BuildError that names each model that failed, after all that was
    built was merged."""
    _write_host()
    archive = workspace.common_archive()
    selection = select(wish.slugs, wish.target, any_host=wish.single or wish.cluster is not None)
    plan = plan_of(wish, archive)
    found = _earlier(plan, selection) if wish.resume else {}
    orders = [order for order in selection.orders if order.slug not in found]
    with Progress(total=len(orders), up_to_date=selection.up_to_date) as progress:
        try:
            for result in _results(wish, plan, orders, progress):
                fragments.save(result)
                found[result.slug] = result
                progress.end(result)
        finally:
            _merge(wish, archive, found)
    _summary(selection, found)


def plan_of(wish: Wish, archive: bytes) -> Plan:
    """What all models of the run share. Raises UsageError for a cluster without a DVC remote."""
    if wish.cluster is None:
        publish = load_params().publish
        folders = [publish.folder if publish.target == "folder" else None, publish.index and publish.index.folder]
        links = {each: str(Path(each).resolve()) for each in folders if each and not Path(each).is_absolute()}
        for folder in links.values():
            Path(folder).mkdir(parents=True, exist_ok=True)
        config = workspace.dvc_config(CACHE, with_remote=wish.with_remote)
        return Plan(archive=archive, dvc_config=config, target=wish.target, single=wish.single, links=links)
    config = workspace.dvc_config(None)
    if "remote = " not in config:
        raise UsageError(
            "`fleet` needs a DVC remote that every machine can reach: `dvc remote add --default NAME URL`."
        )
    return Plan(archive=archive, dvc_config=config, target=wish.target, keep=False)


def _results(wish: Wish, plan: Plan, orders: list[Order], progress: Progress) -> Iterator[Fragment]:
    if wish.cluster is not None:
        yield from ray_cluster.build_all(plan, orders, wish.cluster, progress) if orders else ()
        return
    for order in orders:
        progress.start(order.slug, "here")
        result = run_order(plan, order, WORKSPACES)
        if result.status == "built" and not wish.single:
            _move_artifacts(order.slug)
        yield result


def _move_artifacts(slug: str) -> None:
    """What was built into the project's artifacts/, then the workspace away."""
    folder = WORKSPACES / slug
    for path in (paths.model(slug), paths.package(slug)):
        if (folder / path).is_dir():
            shutil.rmtree(path, ignore_errors=True)
            path.parent.mkdir(parents=True, exist_ok=True)
            (folder / path).rename(path)
    workspace.remove(folder)


def _earlier(plan: Plan, selection: Selection) -> dict[str, Fragment]:
    """Results of an earlier run that was aborted, of the same orders."""
    kept = fragments.load_all()
    wanted = {order.slug: order_digest(plan.archive, order) for order in selection.orders}
    return {
        slug: kept[slug]
        for slug, digest in wanted.items()
        if slug in kept
        and kept[slug].status == "built"
        and kept[slug].order == digest
        and f"{plan.target}@{slug}" in kept[slug].blocks
    }


def _merge(wish: Wish, archive: bytes, found: dict[str, Fragment]) -> None:
    """Everything that was built into the project. The report is written again where a package changed."""
    built = [each for each in found.values() if each.status == "built"]
    if not built:
        return
    # A team may name the resource after the host class; whatever its name, all that was built comes from it.
    wanted = wish.cluster.host_class if wish.cluster else None
    fragments.merge(built, wanted if wanted in {each.host for each in built} else None)
    if wish.cluster is not None and wish.target != "fetch":
        _pull_packages([each.slug for each in built])
    write_blocks(merged(read_blocks(), report_of_all.host_block(), model_list.slugs()))
    if not wish.single:  # what is published has no effect on the report
        report_of_all.write_report(archive)
    for each in built:
        (fragments.FOLDER / f"{each.slug}.json").unlink(missing_ok=True)


def _pull_packages(slugs: list[str]) -> None:
    """Those that were just built, and those that are not here: the report is about all models."""
    from dvc.repo import Repo

    blocks = read_blocks()
    packed = [slug for slug in model_list.slugs() if f"pack@{slug}" in blocks]
    wanted = [slug for slug in packed if slug in slugs or not paths.package(slug).is_dir()]
    with Repo() as repo:
        lacking = pulled_packages.pull(repo, wanted, blocks)
    if lacking:
        print(f"the DVC remote lacks the packages of {', '.join(lacking)}: the report is without them")


def _summary(selection: Selection, found: dict[str, Fragment]) -> None:
    failed = [each for each in found.values() if each.status == "failed"]
    built = len(found) - len(failed)
    print(f"{built} built, {selection.up_to_date} up to date, {len(failed) + len(selection.problems)} failed")
    lines = [f"{slug}: {problem}" for slug, problem in selection.problems.items()]
    lines += [f"{each.slug}: {each.failed} (log: {fragments.FOLDER / each.slug}.json)" for each in failed]
    if lines:
        raise BuildError("\n".join(lines))


def _write_host() -> None:
    from artificer import host
    from stages.records.host_record import write_host

    write_host(host.detect())
