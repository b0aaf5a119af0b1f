"""The report site at 1, 100 and 1,000 models: size, seconds to generate, milliseconds to open in a real browser.

    python -m benchmarks.site artifacts/packages/demo-reranker/manifest.json [--counts 1 100 1000] [--keep FOLDER]

Each model is a copy of the manifest with another name, other figures (drawn from a fixed seed), and for two of three a
second host; one variant of eight fails. Opening is from navigation to the first row that is drawn, median of seven
fresh pages; filtering is from a typed word to the drawn rows.
"""

import argparse
import copy
import json
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from playwright.sync_api import Page

from artificer.manifest import Manifest
from stages.core.params import PublishParams
from stages.site.generate import generate
from tests.site.browser import started

PUBLISH = PublishParams(target="folder", folder="dist", namespace="acme", read_back="uploaded", index=None)
STEMS = ("minilm-l6-reranker", "gte-reranker", "support-ranker", "legal-search", "bge-reranker")
SCALED = ("speedup", "inputs_per_second")
FAILED_SHARE = 1 / 8
OPENINGS = 7


def manifests(base: dict[str, Any], count: int) -> Iterator[Manifest]:
    """That many models, made one at a time."""
    for number in range(count):
        draw = random.Random(number)
        made = copy.deepcopy(base)
        made["slug"] = f"{STEMS[number % len(STEMS)]}-{number:04d}"
        made["name"] = f"acme/{made['slug']}"
        if number % 3 and made["benchmarks"]:
            other = copy.deepcopy(made["benchmarks"][0])
            other["host"]["name"] = "another-host-8c"
            made["benchmarks"].append(other)
        _scale(made["benchmarks"], draw)
        for variant in made["variants"][1:]:
            if variant["status"] == "passed" and draw.random() < FAILED_SHARE:
                variant |= {"status": "failed", "reason": "made up to fail", "files": [], "graph": None}
        yield Manifest.from_json(json.dumps(made).encode())


def _scale(value: Any, draw: random.Random) -> None:
    """Other speeds, wherever a manifest has them."""
    if isinstance(value, list):
        for each in value:
            _scale(each, draw)
    elif isinstance(value, dict):
        for key, each in value.items():
            if key in SCALED:
                value[key] = each * draw.uniform(0.7, 1.4)
            else:
                _scale(each, draw)


def opened(page: Page, address: str) -> float:
    """Milliseconds from navigation to the drawn rows."""
    page.goto("about:blank")
    page.goto(address)
    page.wait_for_selector("#rows [role=row]")
    return float(page.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd"))


def filtered(page: Page) -> float:
    """Milliseconds from a changed search to the drawn rows."""
    return float(
        page.evaluate(
            """() => {
              const input = document.querySelector('[name=q]');
              const start = performance.now();
              input.value = 'qint8';
              input.dispatchEvent(new Event('input', { bubbles: true }));
              document.body.offsetHeight;
              return performance.now() - start;
            }"""
        )
    )


def measure(base: dict[str, Any], count: int, folder: Path) -> str:
    """A row of the table."""
    folder.mkdir(parents=True)
    started_at = time.perf_counter()
    generate(manifests(base, count), folder, PUBLISH)
    seconds = time.perf_counter() - started_at
    sizes = {path: path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    data = (folder / "data" / "leaderboard.js").stat().st_size
    address = (folder / "index.html").resolve().as_uri() + "#rows=all"
    with started() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 860})
        openings = [opened(page, address) for _ in range(OPENINGS)]
        filterings = [filtered(page) for _ in range(OPENINGS)]
        rows = page.get_attribute("#board", "aria-rowcount")
        page.goto((next((folder / "models").iterdir())).resolve().as_uri())
        model = float(page.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd"))
    return (
        f"| {count:,} | {len(sizes):,} | {sum(sizes.values()) / 1e6:.1f} MB | {data / 1e3:.0f} kB | {seconds:.1f} s | "
        f"{median(openings):.0f} ms | {median(filterings):.0f} ms | {model:.0f} ms |"
        f" <!-- {int(rows or 0) - 1} rows match the search -->"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--counts", type=int, nargs="+", default=[1, 100, 1000])
    parser.add_argument("--keep", type=Path)
    arguments = parser.parse_args()
    base = json.loads(arguments.manifest.read_text(encoding="utf-8"))
    print(
        "| models | files | size | leaderboard's data | generated in | leaderboard opens | filters | model page opens |"
    )
    print("|---:|---:|---:|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as temporary:
        for count in arguments.counts:
            print(measure(base, count, (arguments.keep or Path(temporary)) / str(count)), flush=True)


if __name__ == "__main__":
    main()
