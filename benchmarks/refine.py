"""`rank(refine="exact")`: fast executions alone and refined, against the float32 one.

    python benchmarks/refine.py FOLDER PAIRS.jsonl [--queries 10] [--documents 300] [--top-k 10] [--rounds 3]

FOLDER is a published model with several executions. Each query (`query` or `sentence1` of a line) ranks the same
documents (`passage` or `sentence2`). Every execution that is proven here is loaded by its label, and ranks all queries
alone and refined, in turn with the others. Printed for each: the median time of a ranking; in how many queries the
order of the first documents equals float32's; how many documents were scored twice; in how many queries the result
says that its order is certain; and the resident memory of a process of its own, before and after the second graph was
opened.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import artificer
from artificer.host import detect
from artificer.manifest import MANIFEST_FILE, Manifest
from artificer.selection.policy import Policy
from artificer.selection.select import select


def texts(path: Path, queries: int, documents: int) -> tuple[list[str], list[str]]:
    """The first queries, and the first documents, each once."""
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    asked = list(dict.fromkeys(row.get("query") or row["sentence1"] for row in rows))
    found = list(dict.fromkeys(row.get("passage") or row["sentence2"] for row in rows))
    return asked[:queries], found[:documents]


def labels(folder: Path) -> list[str]:
    """Every execution that passed here."""
    manifest = Manifest.from_json((folder / MANIFEST_FILE).read_bytes())
    return [each.full_label for each in select(manifest, detect(), Policy(accuracy="any")).executions]


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def memory(folder: Path, label: str, query: str, documents: list[str]) -> None:
    """Print the resident memory of this process after a ranking, and after a refined one."""
    model = artificer.load(folder, variant=label)
    model.rank(query, documents, top_k=10)
    alone = resident()
    model.rank(query, documents, top_k=10, refine="exact")
    print(alone, resident())


def main() -> None:
    """Measure, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("--queries", type=int, default=10)
    parser.add_argument("--documents", type=int, default=300)
    parser.add_argument("--top-k", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", help=argparse.SUPPRESS)
    given = parser.parse_args()
    queries, documents = texts(given.pairs, given.queries, given.documents)
    if given.memory:
        memory(given.folder, given.memory, queries[0], documents)
        return
    names = labels(given.folder)
    models = {name: artificer.load(given.folder, variant=name) for name in names}
    exact = artificer.load(given.folder, accuracy="exact")
    expected = [order(exact.rank(query, documents, top_k=given.top_k)) for query in queries]
    print(f"{len(queries)} queries, {len(documents)} documents, top {given.top_k}; exact: {exact.explain().variant}\n")
    print("| execution | alone, ms | equal | refined, ms | equal | scored twice | certain | memory, MB | refined, MB |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    found: dict[tuple[str, bool], list[tuple[float, Any]]] = {}
    for _ in range(given.rounds + 1):  # the first round warms up, and opens the second graph
        for name, model in models.items():
            for refined in (False, True):
                found[name, refined] = [
                    timed(model, query, documents, given.top_k, refined) for query in queries
                ] + found.get((name, refined), [])
    for name in names:
        columns = []
        for refined in (False, True):
            measured = found[name, refined][: len(queries) * given.rounds]
            columns.append(f"{statistics.median(seconds for seconds, _ in measured) * 1e3:.0f}")
            last = [ranking for _, ranking in measured[: len(queries)]]
            columns.append(str(sum(order(a) == b for a, b in zip(last, expected, strict=True))))
        done = [ranking.refinement for ranking in last]
        columns.append(f"{statistics.mean(each.rescored for each in done):.0f}")
        columns.append(str(sum(each.certain for each in done)))
        columns += peaks(given, name)
        print(f"| {name} | {' | '.join(columns)} |", flush=True)


def timed(model: Any, query: str, documents: list[str], top_k: int, refined: bool) -> tuple[float, Any]:
    """Seconds, and the ranking."""
    started = time.perf_counter()
    ranking = model.rank(query, documents, top_k=top_k, refine="exact" if refined else None)
    return time.perf_counter() - started, ranking


def order(ranking: Any) -> list[int]:
    """Which documents, in which order."""
    return [row["corpus_id"] for row in ranking]


def peaks(given: argparse.Namespace, name: str) -> list[str]:
    """The memory of a process of its own, in MB, without and with the second graph."""
    command = [sys.executable, __file__, str(given.folder), str(given.pairs), "--memory", name]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return [f"{int(value) / 1e6:.0f}" for value in printed]


if __name__ == "__main__":
    main()
