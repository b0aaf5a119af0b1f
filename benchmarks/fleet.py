"""A fleet of tiny models on a local cluster of several nodes, while workers, nodes and the driver are killed.

    python -m benchmarks.fleet WORK [--models 40] [--nodes 2] [--kills 10] [--driver-kills 1]
    python -m benchmarks.fleet WORK --driver 1000
    python -m benchmarks.fleet WORK --real 2

The first builds models whose stages are cut to the least, kills at random moments, and compares the result with what
was wanted: every model built, no stage run again but those that were struck, and dvc.lock equal to that of one
`dvc repro`. The second times what the driver does for each of that many models, with results that are made up: orders,
fragments, the merge, and the check of a second run. The third builds with the real toolchain, and compares with
`dvc repro`. Ray gives up a node whose agents need more than 15 seconds to start, so run these neither niced nor beside
much else.
"""

import argparse
import collections
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from tests.fleet import small
from tests.stages import project
from tests.stages.checkpoints import STORED

MOST_RUNS = 30  # how often a driver that ended with failed models is started again


def kill_one(cluster: Any, nodes: list[Any], rng: random.Random, node_share: float) -> tuple[str, Any]:
    """Kill what runs a build: its stage, its worker, or a node; what was killed, and the node that replaces it."""
    found = [p for p in psutil.process_iter(["cmdline"]) if _is_ours(p.info["cmdline"] or ())]
    if rng.random() < node_share and len(nodes) > 1:
        cluster.remove_node(nodes.pop(rng.randrange(1, len(nodes))), allow_graceful=False)
        nodes.append(add_node(cluster))
        return "node", None
    if not found:
        return "", None
    victim = rng.choice(found)
    with contextlib.suppress(psutil.Error):
        if rng.random() < 0.5:
            worker = victim.parent()
            worker = worker.parent() if worker else None  # the task's process
            if worker is not None and "ray" in " ".join(worker.cmdline()):
                worker.kill()
                return "worker", None
        victim.kill()
        return "build", None
    return "", None


def _is_ours(command: Sequence[str]) -> bool:
    """Whether it is a build of this run, and not of another on the same machine."""
    scratch = os.environ["ARTIFICER_FLEET_SCRATCH"]
    return "build-model" in command and any(word.startswith(scratch) for word in command)


def add_node(cluster: Any) -> Any:
    """Of one machine."""
    return cluster.add_node(num_cpus=1, resources={"machine": 1}, object_store_memory=80 * 10**6)


def with_kills(work: Path, given: argparse.Namespace) -> None:
    """Build, kill, compare; prints a table."""
    from ray.cluster_utils import Cluster

    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
    os.environ["ARTIFICER_FLEET_SCRATCH"] = str(work / "scratch")
    models, kills, driver_kills = given.models, given.kills, given.driver_kills
    rng = random.Random(given.seed)
    root = small.make(work / "project", models, remote=work / "remote")
    small.slow(root, 0.3)
    cluster = Cluster()
    nodes = [add_node(cluster) for _ in range(given.nodes)]
    killed: collections.Counter[str] = collections.Counter()
    started = time.monotonic()
    try:
        driver = start(root, cluster.address)
        while driver.poll() is None or driver.returncode == -signal.SIGKILL:
            time.sleep(rng.uniform(*given.pause))
            if killed["driver"] < driver_kills and sum(killed.values()) > kills * (killed["driver"] + 1) / (
                driver_kills + 1
            ):
                driver.kill()
                driver.wait()
                killed["driver"] += 1
                driver = start(root, cluster.address, "--resume")
            elif sum(killed.values()) < kills + driver_kills:
                kind, _ = kill_one(cluster, nodes, rng, given.node_share)
                killed[kind] += bool(kind)
            if driver.poll() is not None and driver.returncode not in (0, -signal.SIGKILL):
                if killed["run again"] == MOST_RUNS:
                    raise SystemExit(f"the driver failed {MOST_RUNS} times: see {root.parent / 'driver.txt'}")
                driver = start(root, cluster.address, "--resume")  # what was struck too often is a failure: once more
                killed["run again"] += 1
    finally:
        cluster.shutdown()  # type: ignore[no-untyped-call]
    seconds = time.monotonic() - started
    counts = collections.Counter(small.ran(root))
    small.slow(root, 0)
    again = sum(count - 1 for count in counts.values() if count > 1)
    lost = [
        f"{stage} {slug}" for slug in small.slugs(models) for stage in small.STAGES if not counts[f"{stage} {slug}"]
    ]
    print(f"| models | {models} |\n|---|---|\n| seconds | {seconds:.0f} |")
    print(f"| killed | {', '.join(f'{n} {kind}' for kind, n in killed.items() if kind and n)} |")
    print(f"| stages never run | {len(lost)} |\n| stages run again | {again} |")
    print(f"| most runs of one stage | {max(counts.values())} |")
    said = (work / "driver.txt").read_text()
    print(f"| every package is on the remote | {'the DVC remote lacks the packages' not in said} |")
    print(f"| lock equal to one `dvc repro`'s | {is_equal(root, work, models)} |", flush=True)


def real(work: Path, models: int, node_count: int) -> None:
    """The real toolchain: tiny checkpoints on as many nodes, and once more by one `dvc repro`; prints a table."""
    from ray.cluster_utils import Cluster

    from stages.fleet.lock_blocks import read_blocks

    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
    os.environ["ARTIFICER_FLEET_SCRATCH"] = str(work / "scratch")
    root, twin = (_real_project(work / name, models) for name in ("project", "twin"))
    project.dvc(root, "remote", "add", "-q", "-d", "folder", str(work / "remote"))
    cluster = Cluster()
    try:
        for _ in range(node_count):
            add_node(cluster)
        started = time.monotonic()
        code = start(root, cluster.address).wait()
        seconds = time.monotonic() - started
    finally:
        cluster.shutdown()  # type: ignore[no-untyped-call]
    done = project.dvc(twin, "repro", *(f"pack@{slug}" for slug in small.slugs(models)))
    assert done.returncode == 0, done.stdout + done.stderr
    ours, theirs = read_blocks(root / "dvc.lock"), read_blocks(twin / "dvc.lock")
    differ = sorted(name for name in theirs if theirs[name] != ours.get(name))
    print(f"| models, nodes | {models}, {node_count} |\n|---|---|\n| seconds | {seconds:.0f} |")
    print(f"| exit code of the fleet | {code} |")
    print(f"| stages whose lock is that of `dvc repro` | {len(theirs) - len(differ)} of {len(theirs)} |")
    print(f"| others | {', '.join(differ)} |", flush=True)


def _real_project(root: Path, models: int) -> Path:
    entry = {"variants": {"include": ["onnx", "onnx-O1", "openvino"]}}
    project.make_project(root, dict.fromkeys(small.slugs(models), STORED), **dict.fromkeys(small.slugs(models), entry))
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    for command in (["init", "-q"], ["config", "core.analytics", "false"], ["config", "core.check_update", "false"]):
        project.dvc(root, *command)
    done = project.stage(root, "host")
    assert done.returncode == 0, done.stderr
    return root


def start(root: Path, address: str, *options: str) -> subprocess.Popen[bytes]:
    """The driver."""
    command = [sys.executable, "-m", "stages", "fleet", "--ray", address, *options]
    log = (root.parent / "driver.txt").open("ab")
    return subprocess.Popen(command, cwd=root, env=project.environment(root), stdout=log, stderr=log)


def is_equal(root: Path, work: Path, models: int) -> bool:
    """Whether the merged lock is, byte by byte, what `dvc repro` writes in a project of its own."""
    (work / "twin").mkdir()
    twin = small.make(work / "twin" / "project", models)
    (twin / "code" / "log-path").write_text((root / "code" / "log-path").read_text())
    done = project.dvc(twin, "repro")
    assert done.returncode == 0, done.stderr
    from stages.fleet.lock_blocks import read_blocks

    ours, theirs = read_blocks(root / "dvc.lock"), read_blocks(twin / "dvc.lock")
    return ours == {name: block for name, block in theirs.items() if not name.startswith("publish@")}


def driver_alone(work: Path, models: int) -> None:
    """What the driver does, with the building left out."""
    from stages.fleet import fragments, lock_blocks, workspace
    from stages.fleet.driver import _write_host
    from stages.fleet.fragments import Fragment, order_digest
    from stages.fleet.selection import select

    root = small.make(work / "project", models, remote=work / "remote")
    one = small.command(root, "build", small.slugs(1)[0])
    assert one.returncode == 0, one.stderr
    times: dict[str, float] = {}
    with contextlib.chdir(root):
        first = small.slugs(1)[0]
        blocks = lock_blocks.of_models(lock_blocks.read_blocks())[first]
        (root / "dvc.lock").unlink()
        _write_host()
        before = time.process_time()
        archive = workspace.common_archive()
        selection = select((), "pack", any_host=True)
        digests = [order_digest(archive, order) for order in selection.orders]
        times["orders"] = time.process_time() - before
        before = time.process_time()
        found = [
            Fragment(slug=order.slug, order=digest, status="built", host="h",
                     blocks={name.replace(first, order.slug): text.replace(first, order.slug)
                             for name, text in blocks.items()},
                     files={f"reports/metrics/{order.slug}.json": "{}"})
            for order, digest in zip(selection.orders, digests, strict=True)
        ]  # fmt: skip
        for each in found:
            fragments.save(each)
        times["fragments"] = time.process_time() - before
        before = time.process_time()
        fragments.merge(fragments.load_all().values())
        times["merge"] = time.process_time() - before
        before = time.process_time()
        select((), "pack", any_host=True)
        times["check of a second run"] = time.process_time() - before
    print(f"| {models:,} models | CPU seconds | a model |\n|---|---:|---:|")
    for name, seconds in times.items():
        print(f"| {name} | {seconds:.1f} | {seconds / models:.4f} |")
    print(f"| together | {sum(times.values()):.1f} | {sum(times.values()) / models:.4f} |")


def main() -> None:
    """Either run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--models", type=int, default=40)
    parser.add_argument("--nodes", type=int, default=2)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--driver-kills", type=int, default=1)
    parser.add_argument("--pause", type=float, nargs=2, default=(1.0, 4.0), help="least and most seconds between kills")
    parser.add_argument("--node-share", type=float, default=0.2, help="how many of the kills are of whole nodes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--real", type=int, metavar="MODELS", help="build as many with the real toolchain; kill nothing"
    )
    parser.add_argument("--driver", type=int, metavar="MODELS", help="time the driver alone")
    given = parser.parse_args()
    work = given.work.resolve()
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    if given.real:
        real(work, given.real, given.nodes)
    elif given.driver:
        driver_alone(work, given.driver)
    else:
        with_kills(work, given)


if __name__ == "__main__":
    main()
