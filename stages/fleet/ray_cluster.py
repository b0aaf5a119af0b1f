"""Orders on a Ray cluster: one task a model, each with a machine, or a share of one, to itself."""

import contextlib
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import structs

from stages.core.capacity import gigabytes
from stages.core.errors import UsageError, first_line
from stages.fleet import fragments, ray_task
from stages.fleet.fragments import Fragment
from stages.fleet.freshness import model_stages
from stages.fleet.progress import Progress
from stages.fleet.runner import Plan
from stages.fleet.workspace import Order

MACHINE = "machine"  # a custom resource: 1 on each machine; whoever holds it whole measures undisturbed
# Read by Ray where it starts: no usage reports, workers at normal priority, GPUs stay visible.
SETTINGS = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
BENCHMARK = "benchmark"
OBJECT_STORE_BYTES = 128 * 10**6
RETRIES = 3  # of a task whose worker or machine died


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """How tasks are placed. `address` of a cluster that runs (None: one of this machine); `share`: models that one
    machine builds at a time; `host_class`: only machines that offer a resource of that name."""

    address: str | None = None
    share: int = 1
    host_class: str | None = None

    def options(self, order: Order, part: float) -> dict[str, Any]:
        """Of one task, which takes that part of a machine."""
        resources = {MACHINE: part}
        if self.host_class:
            resources[self.host_class] = 0.001
        return {"num_cpus": 0, "memory": order.memory_bytes, "resources": resources, "max_retries": RETRIES}


def build_all(plan: Plan, orders: list[Order], cluster: Cluster, progress: Progress) -> Iterator[Fragment]:
    """Each result as it arrives, a model that failed included. Raises UsageError without Ray or a usable cluster."""
    with _connected(cluster) as ray:
        largest = _largest_memory(ray, cluster)
        board = ray.remote(num_cpus=0, max_restarts=-1)(ray_task.Board).remote()
        task = ray.remote(ray_task.build)
        archive = ray.put(plan.archive)
        phases = _phases(plan, cluster.share)
        settings = [msgspec.msgpack.encode(structs.replace(phase, archive=b"")) for phase, _ in phases]

        def submit(order: Order, place: int) -> Any:
            options = cluster.options(order, phases[place][1])
            data = msgspec.msgpack.encode(order)
            return task.options(name=f"build {order.slug}", **options).remote(
                settings[place], data, archive, order.slug, board
            )

        pending: dict[Any, tuple[Order, int]] = {}
        for order in orders:
            if order.memory_bytes <= largest:
                pending[submit(order, 0)] = (order, 0)
                continue
            wanted, most = gigabytes(order.memory_bytes), gigabytes(largest)
            yield _failed(plan, order, f"needs about {wanted} of memory; the largest machine has {most}")
        while pending:
            done, _ = ray.wait([*pending], num_returns=1, timeout=2)
            _show(ray, board, progress, {order.slug for order, _ in pending.values()})
            for ref in done:
                order, place = pending.pop(ref)
                found = _result(ray, ref, plan, order)
                if found.status == "built" and place + 1 < len(phases):
                    pending[submit(order, place + 1)] = (order, place + 1)
                else:
                    yield found


def _phases(plan: Plan, share: int) -> list[tuple[Plan, float]]:
    """Plans of one model, one after the other, each with the part of a machine that it takes. Where models share a
    machine, what measures speed runs after the rest, alone: two at once gave one graph speeds from 1.6x to 10.5x."""
    names = model_stages(plan.target)
    if share == 1 or BENCHMARK not in names or names.index(BENCHMARK) == 0:
        return [(plan, round(1 / share, 4))]
    before = structs.replace(plan, target=names[names.index(BENCHMARK) - 1], keep=True)
    return [(before, round(1 / share, 4)), (plan, 1.0)]


def _result(ray: Any, ref: Any, plan: Plan, order: Order) -> Fragment:
    try:
        return msgspec.json.decode(ray.get(ref), type=Fragment)
    except ray.exceptions.RayError as error:
        return _failed(plan, order, first_line(error, with_kind=False))


def _failed(plan: Plan, order: Order, reason: str) -> Fragment:
    digest = fragments.order_digest(plan.archive, order)
    return Fragment(slug=order.slug, order=digest, status="failed", failed=reason)


def _show(ray: Any, board: Any, progress: Progress, pending: set[str]) -> None:
    with contextlib.suppress(ray.exceptions.RayError):  # the machine of the board died: it starts again
        for slug, (where, _) in ray.get(board.read.remote(), timeout=5).items():
            if slug in pending and slug not in progress.running:
                progress.start(slug, where)


@contextlib.contextmanager
def _connected(cluster: Cluster) -> Iterator[Any]:
    os.environ.update({key: os.environ.get(key, value) for key, value in SETTINGS.items()})
    try:
        import ray
        from ray import cloudpickle
    except ImportError:
        raise UsageError("`fleet` needs Ray: pip install --constraint constraints.txt 'artificer[fleet]'.") from None
    cloudpickle.register_pickle_by_value(ray_task)  # type: ignore[no-untyped-call]
    own: dict[str, Any] = {}
    if cluster.address is None:
        own = {
            "resources": {MACHINE: 1, **({cluster.host_class: 1} if cluster.host_class else {})},
            "object_store_memory": OBJECT_STORE_BYTES,
        }
    try:
        ray.init(address=cluster.address or "local", include_dashboard=None if cluster.address else False,
                 log_to_driver=False, logging_level=logging.ERROR, **own)  # fmt: skip
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise UsageError(f"--ray: {cluster.address or 'this machine'}: {first_line(error, with_kind=False)}") from None
    try:
        yield ray
    finally:
        ray.shutdown()


def _largest_memory(ray: Any, cluster: Cluster) -> float:
    """Of the machines that may build. Raises UsageError where there is none."""
    found = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    fit = [each for each in found if each.get(MACHINE) and (not cluster.host_class or each.get(cluster.host_class))]
    if not fit:
        wanted = f'{{"{MACHINE}": 1' + (f', "{cluster.host_class}": 1' if cluster.host_class else "") + "}"
        raise UsageError(
            f"no machine of the cluster offers {wanted}: start each with `ray start --resources='{wanted}' …`."
        )
    return max(float(each.get("memory", 0)) for each in fit)
