"""What a service could pick instead: pairs a second and single requests, one run, same texts, same threads, in turn.

    python -m benchmarks.rivals PACKAGE CHECKPOINT PAIRS.jsonl [--rounds 5] [--sides NAME …] [--python PYTHON NAME …]

PACKAGE is a published folder, CHECKPOINT what it was made from. Every side of `benchmarks/rival_sides.py` runs in a
process of its own. The sides need packages that Artificer does not: an environment with artificer,
sentence-transformers, optimum-intel[openvino], openvino-genai, openvino-tokenizers, fastembed and flashrank.
`--python` names another interpreter for the sides whose name starts with NAME: infinity-emb needs transformers 4.
A side that does not start is named and left out; one that crashes has no more figures from there on.

Speeds are relative to CrossEncoder in float32. Each round has other texts, and every side gets them in turn. Quality is
the Spearman correlation with the labels of PAIRS as a ratio to CrossEncoder's; `order` is the Spearman correlation with
CrossEncoder's own scores. Without labels the former is not given.
"""

import argparse
import contextlib
import json
import random
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from artificer import host
from benchmarks.rival_sides import SIDES, Given
from benchmarks.texts import long_set, short_pairs
from benchmarks.turns import Side, SideEndedError, serve, timed_calls

BASE = "CrossEncoder"
ENOUGH = 0.995  # of the base's quality
ROWS = ("one", "ten", "short", "long")
HEADINGS = {"short": "short, pairs/s", "long": "long, pairs/s", "one": "1 x 1, p50", "ten": "1 x 10, p50"}
Call = tuple[str, list[str]]


def calls_of(row: str, path: Path, turn: int) -> list[Call]:
    """The calls of a row in a round: a query and its passages each."""
    if row == "long":
        query, passages = long_set(turn)[0][0], [passage for _, passage in long_set(turn)]
        return [(query, passages)]
    pairs = short_pairs(path)
    random.Random(turn).shuffle(pairs)
    passages = [passage for _, passage in pairs]
    size, count = {"short": (240, 1), "one": (1, 30), "ten": (10, 10)}[row]
    return [(pairs[i][0], [passages[(i * size + k) % len(pairs)] for k in range(size)]) for i in range(count)]


def labelled(path: Path) -> tuple[list[Call], list[float]]:
    """Every pair of the file as a call of its own, and its label."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [(row["sentence1"], [row["sentence2"]]) for row in rows], [float(row.get("score", 0.0)) for row in rows]


def spearman(one: list[float], other: list[float]) -> float:
    """Rank correlation, ties at their mean rank."""
    from scipy.stats import spearmanr

    return float(spearmanr(one, other).statistic)


def be(given: argparse.Namespace) -> None:
    """Serve one side."""
    with tempfile.TemporaryDirectory() as scratch:
        score = SIDES[given.side](Given(given.package, given.checkpoint, given.threads, Path(scratch)))

        def answer(request: dict[str, Any]) -> Any:
            calls = labelled(given.pairs)[0] if request["row"] == "labels" else calls_of(**request, path=given.pairs)
            return timed_calls(lambda call: score(*call), calls)

        serve(answer)


def started(given: argparse.Namespace, names: list[str], stack: contextlib.ExitStack) -> dict[str, Side]:
    """The sides that start."""
    sides: dict[str, Side] = {}
    others = {prefix: python for python, *prefixes in given.python or [] for prefix in prefixes}
    for name in names:
        python = next((other for prefix, other in others.items() if name.startswith(prefix)), sys.executable)
        command = [python, "-m", "benchmarks.rivals", str(given.package), str(given.checkpoint), str(given.pairs)]
        command += ["--threads", str(given.threads), "--side", name]
        try:
            sides[name] = stack.enter_context(Side(command))
        except SideEndedError:
            print(f"{name} did not start", flush=True)
    return sides


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package", type=Path)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sides", nargs="*", default=list(SIDES), help="names, or how some start")
    parser.add_argument("--rows", nargs="*", default=list(ROWS), choices=ROWS)
    parser.add_argument("--python", nargs="+", action="append")
    parser.add_argument("--threads", type=int, default=host.thread_count()[0])
    parser.add_argument("--side", choices=list(SIDES), help="serve one side on standard input (used by this script)")
    given = parser.parse_args()
    if given.side:
        be(given)
        return
    starts = tuple(side for side in given.sides if side not in SIDES)
    names = [name for name in SIDES if name == BASE or name in given.sides or name.startswith(starts)]
    with contextlib.ExitStack() as stack:
        sides = started(given, names, stack)
        table = measure(sides, given)
        quality = agreement(sides, given.pairs)
    print(f"\n{host.detect().name}, {given.threads} threads, {given.rounds} rounds; base: {base_line(table)}\n")
    print(f"| side | {' | '.join(HEADINGS[row] for row in given.rows)} | quality | order |")
    print(f"|---|{'---:|' * (len(given.rows) + 2)}")
    for name, rows in table.items():
        speeds = (relative(table[BASE][row], rows[row]) for row in given.rows)
        shown = f"{quality[name][0]:.4f} | {quality[name][1]:.5f}" if name in quality else "- | -"
        print(f"| {name} | {' | '.join(speeds)} | {shown} |")


def measure(sides: dict[str, Side], given: argparse.Namespace) -> dict[str, dict[str, list[float]]]:
    """Median seconds of a call by side, row and round; round 0 warms up and is left out."""
    table: dict[str, dict[str, list[float]]] = {name: {row: [] for row in given.rows} for name in sides}
    for row in given.rows:
        for turn in range(given.rounds + 1):
            for name, answer in asked(sides, {"row": row, "turn": turn}):
                if turn:
                    table[name][row].append(statistics.median(answer[0]))
        print(f"\n{HEADINGS[row]}:")  # at once: a run that is ended early keeps what it has
        for name, rows in table.items():
            print(f"  {name}: {relative(table[BASE][row], rows[row])}", flush=True)
    return table


def asked(sides: dict[str, Side], request: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """What each side answers, in turn. A side that ends is removed."""
    for name, side in list(sides.items()):
        try:
            yield name, side.ask(request)
        except SideEndedError as problem:
            print(f"{name}: {problem}", flush=True)
            del sides[name]


def relative(base: list[float], own: list[float]) -> str:
    """How many times as fast as the base: the median of the rounds, and their range."""
    if len(own) < len(base):
        return "crashed"
    ratios = [one / other for one, other in zip(base, own, strict=True)]
    return f"{statistics.median(ratios):.2f}x ({min(ratios):.2f} - {max(ratios):.2f})"


def base_line(table: dict[str, dict[str, list[float]]]) -> str:
    """The base's own figures."""
    return ", ".join(f"{row} {1e3 * statistics.median(seconds):.1f} ms" for row, seconds in table[BASE].items())


def agreement(sides: dict[str, Side], path: Path) -> dict[str, tuple[float, float]]:
    """For each side, its quality beside the base's, and its order beside the base's."""
    labels = labelled(path)[1]
    scores = {name: [row[0] for row in answer[1]] for name, answer in asked(sides, {"row": "labels", "turn": 0})}
    base = spearman(scores[BASE], labels)
    return {name: (spearman(own, labels) / base, spearman(own, scores[BASE])) for name, own in scores.items()}


if __name__ == "__main__":
    main()
