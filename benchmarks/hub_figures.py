"""What a second publish sends after one variant changed, and how long a service takes to look a model up and start.

    python -m benchmarks.hub_figures [--published dist/artificer/demo-reranker]

Against a Hub on loopback: what is measured is this side's work and the number of requests, not a network. Without
`--published` the model is a graph of a few kilobytes, so that `start` is what Artificer itself costs.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from artificer.hub.index import Index, Release
from artificer.manifest import MANIFEST_FILE, Manifest, describe_file
from stages.cli import main as stages
from tests.hub_publish import tiny
from tests.hub_publish.loopback import hub_of_this_process
from tools.loopback_hub import Hub

RUNS = 9
SCRIPT = """
import sys, time
started = time.perf_counter()
import artificer
imported = time.perf_counter()
{offline_flag}
registry = artificer.ModelIndex("acme/registry", offline=offline)
registry.find("tiny")
found = time.perf_counter()
model = artificer.load("tiny", index="acme/registry", offline=offline)
loaded = time.perf_counter()
model.predict([("how do plants eat", "by light")])
done = time.perf_counter()
print(imported - started, found - imported, loaded - found, done - loaded)
"""


def main() -> int:
    """Print both tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hub_figures")
    parser.add_argument("--published", type=Path, help="a published folder to look up and start")
    published = parser.parse_args().published
    published = published.resolve() if published else None
    with tempfile.TemporaryDirectory() as scratch, hub_of_this_process(Path(scratch)) as hub:
        second_publish(hub, Path(scratch))
        start(hub, Path(scratch), published)
    return 0


def second_publish(hub: Hub, scratch: Path) -> None:
    """Publish three variants of 4 MB, change one, publish again."""
    root = tiny.make_project(scratch / "project")
    manifest = tiny.build(root, size=4_000_000)
    print("| publish | files | bytes of the package | bytes of large files sent | requests |")
    print("|---|---:|---:|---:|---:|")
    before = Path.cwd()
    os.chdir(root)
    try:
        for name, seeds in (("first", {}), ("the same again", {}), ("one variant changed", {"onnx-O3": 1})):
            manifest = tiny.build(root, size=4_000_000, seeds=seeds)
            hub.requests.clear()
            with open(os.devnull, "w") as quiet:  # noqa: PTH123
                kept, sys.stdout = sys.stdout, quiet
                code = stages(["publish", tiny.SLUG])
                sys.stdout = kept
            assert code == 0
            total = sum(entry.size for entry in manifest.published_files())
            print(
                f"| {name} | {len(manifest.published_files()) + 1} | {total:,} | {hub.requests.uploaded_bytes:,} |"
                f" {len(hub.requests)} |"
            )
    finally:
        os.chdir(before)


def start(hub: Hub, scratch: Path, published: Path | None) -> None:
    """Look up and load in processes of their own; medians of `RUNS`, after one that fills the cache."""
    if published is None:
        root = tiny.make_project(scratch / "small")
        files = tiny.contents(root, tiny.build(root, repo="acme/served", variants=("onnx",)))
    else:
        entries = Manifest.from_json((published / MANIFEST_FILE).read_bytes()).published_files()
        files = {entry.path: (published / entry.path).read_bytes() for entry in entries}
        files[MANIFEST_FILE] = (published / MANIFEST_FILE).read_bytes()
    for repo in ("acme/served", "acme/registry"):
        hub.store.create_repo(repo, private=True)
    commit = hub.store.commit("acme/served", files)
    (scratch / MANIFEST_FILE).write_bytes(files[MANIFEST_FILE])
    sha256 = describe_file(scratch, MANIFEST_FILE).sha256
    release = Release(repo="acme/served", revision=commit, manifest_sha256=sha256)
    index = Index().published("tiny", release).promoted("tiny")
    hub.store.commit("acme/registry", {"index.json": index.to_json()})
    environment = {**os.environ, **hub.client_env(scratch / "home", hub.tokens.read)}
    environment |= {"ARTIFICER_CACHE": str(scratch / "cache"), "PYTHONPATH": str(tiny.REPOSITORY)}
    print("\n| start | import | look-up | load | first score | together | requests |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for name, runs, offline in (
        ("cold cache, with the Hub", 1, False),
        ("warm cache, with the Hub", RUNS, False),
        ("warm cache, offline", RUNS, True),
    ):
        hub.requests.clear()
        script = SCRIPT.replace("{offline_flag}", f"offline = {offline}")
        rows = []
        for _ in range(runs):
            done = subprocess.run(
                [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
            )
            rows.append([float(part) * 1000 for part in done.stdout.split()])
        medians = [statistics.median(column) for column in zip(*rows, strict=True)]
        together = statistics.median(sum(row) for row in rows)
        cells = " | ".join(f"{value:.0f} ms" for value in (*medians, together))
        print(f"| {name} | {cells} | {len(hub.requests) // runs} |")


if __name__ == "__main__":
    sys.exit(main())
