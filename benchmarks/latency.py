"""p50 and p95 of single requests of 1, 10 and 30 pairs, by execution, and what makes the p95.

    python -m benchmarks.latency FOLDER [EXECUTION ...] [--requests 60] [--cpu]

Each execution is loaded in three ways: as it is, with `objective="latency"`, and with `warm=True`. Requests of one pair
have lengths that were not drawn before (`new`); then the same requests come again, in another order (`known`), and once
more with 20 ms of sleep before each (`idle`). So `new` over `known` is what new shapes cost, and `idle` over `known`
what waking threads costs.
"""

import argparse
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import artificer
from artificer import host
from artificer.manifest import MANIFEST_FILE, Manifest
from artificer.selection.policy import Policy
from artificer.selection.select import select

PAIRS = (1, 10, 30)
IDLE_SECONDS = 0.02
WAYS: dict[str, dict[str, Any]] = {"": {}, ", latency": {"objective": "latency"}, ", warm": {"warm": True}}
_TEXT = "the deepest lake of all is in a cold country where few people live and many travel to see it in summer"
_WORDS = _TEXT.split()

Request = list[tuple[str, str]]


def requests(dice: random.Random, pairs: int, count: int) -> list[Request]:
    """`count` requests; passages of 3 to 120 words. No two requests of one pair have passages of one length."""

    def text(words: int) -> str:
        return " ".join(dice.choices(_WORDS, k=words))

    lengths = range(3, 121)
    drawn = [dice.sample(lengths, count)] if pairs == 1 else [dice.choices(lengths, k=count) for _ in range(pairs)]
    return [[(text(6), text(words)) for words in passages] for passages in zip(*drawn, strict=True)]


def milliseconds(
    model: artificer.Reranker, asked: Sequence[Request], clock: Callable[[], float], idle: float = 0.0
) -> list[float]:
    """Of each request."""
    found = []
    for each in asked:
        if idle:
            time.sleep(idle)
        started = clock()
        model.predict(each)
        found.append(1000 * (clock() - started))
    return found


def said(found: Sequence[float]) -> str:
    """p50, p95, and their ratio."""
    p50, p95 = np.percentile(found, (50, 95))
    return f"{p50:6.2f} {p95:6.2f} {p95 / p50:4.1f}x"


def main() -> None:
    """Print a line for each execution, way of loading and size of request."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("executions", nargs="*")
    parser.add_argument("--requests", type=int, default=60, help="at most 118")
    parser.add_argument("--cpu", action="store_true", help="CPU milliseconds of all threads, for a busy machine")
    given = parser.parse_args()
    clock = time.process_time if given.cpu else time.perf_counter
    manifest = Manifest.from_json((given.folder / MANIFEST_FILE).read_bytes())
    choice = select(manifest, host.detect(), Policy(accuracy="any"))
    names = given.executions or [each.full_label for each in choice.executions]
    print(f"{'execution':44} {'load s':>6} pairs  new: p50, p95 ms     known               idle", flush=True)
    for name in names:
        for way, options in WAYS.items():
            for _ in range(2):  # the first verifies the files, the second keeps the compiled model
                artificer.load(given.folder, variant=name, accuracy="any", **options).close()
            started = time.perf_counter()
            with artificer.load(given.folder, variant=name, accuracy="any", **options) as model:
                took = time.perf_counter() - started
                dice = random.Random(7)
                for pairs in PAIRS:
                    asked = requests(dice, pairs, given.requests)
                    new = milliseconds(model, asked, clock)
                    dice.shuffle(asked)
                    known, idle = milliseconds(model, asked, clock), milliseconds(model, asked, clock, IDLE_SECONDS)
                    print(
                        f"{name + way:44} {took:6.2f} {pairs:5}  {said(new)}  {said(known)}  {said(idle)}", flush=True
                    )


if __name__ == "__main__":
    main()
