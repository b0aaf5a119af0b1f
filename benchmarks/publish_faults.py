"""Publish to a Hub on loopback with a fault in every run, and count what the repo holds afterwards.

    python -m benchmarks.publish_faults --runs 12 --seed 0

Every run must end in the old state or in the new one, whole; without a wrong receipt, without a second commit; and a
rerun without the fault must end in the new state (or, where our own file was changed by somebody else, say so).
"""

import argparse
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from tests.hub_publish.harness import KINDS, Outcome, run
from tests.hub_publish.loopback import hub_of_this_process


def main() -> int:
    """Run all kinds and print the table; the exit code says whether anything ended elsewhere."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.publish_faults")
    parser.add_argument("--runs", type=int, default=12, help="runs of each kind of fault")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--kind", default="", help="only kinds that hold this text")
    arguments = parser.parse_args()
    found: dict[str, list[Outcome]] = defaultdict(list)
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch, hub_of_this_process(Path(scratch)) as hub:
        for kind in (kind for kind in KINDS if arguments.kind in kind):
            for seed in range(arguments.seed, arguments.seed + arguments.runs):
                outcome = run(hub, Path(scratch, f"{len(found)}-{seed}"), kind, seed)
                found[kind].append(outcome)
                for line in problems(outcome):
                    print(f"{kind}, seed {seed}: {line}\n{outcome.text}", file=sys.stderr)
    print("| fault | runs | struck | old | new | anything else | rerun: new | rerun: refused |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for kind, outcomes in found.items():
        print(row(kind, outcomes))
    every = [outcome for outcomes in found.values() for outcome in outcomes]
    print(row("**all**", every))
    print(f"\n{len(every)} runs in {time.monotonic() - started:.0f} s")
    return int(any(problems(outcome) for outcome in every))


def row(name: str, outcomes: list[Outcome]) -> str:
    """A line of the table."""
    after = [outcome.after for outcome in outcomes]
    rerun = [outcome.rerun for outcome in outcomes]
    cells = (
        len(outcomes),
        sum(outcome.fired > 0 for outcome in outcomes),
        after.count("old"),
        after.count("new"),
        sum(state not in ("old", "new") for state in after),
        rerun.count("new"),
        rerun.count("old"),
    )
    return f"| {name} | " + " | ".join(str(cell) for cell in cells) + " |"


def problems(outcome: Outcome) -> list[str]:
    """What must not happen."""
    refused = outcome.kind == "412: our file changed" or outcome.kind == "corrupted upload, seen by nobody"
    return [
        text
        for wrong, text in (
            (outcome.after not in ("old", "new"), f"ended in {outcome.after}"),
            (outcome.rerun != "new" and not (refused and outcome.rerun == "old"), f"rerun ended in {outcome.rerun}"),
            (outcome.commits > 1, f"{outcome.commits} commits of ours"),
            (not outcome.receipt_is_true, "a receipt for what is not there"),
            (outcome.exit_code == 0 and outcome.after != "new", "exit code 0 without the new state"),
        )
        if wrong
    ]


if __name__ == "__main__":
    sys.exit(main())
