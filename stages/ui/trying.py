"""Two executions of a published model on the same documents."""

from pathlib import Path
from statistics import median
from threading import Lock
from time import perf_counter
from typing import Any

import artificer
from artificer import host
from artificer.manifest import MANIFEST_FILE, Manifest
from artificer.selection.policy import Policy
from artificer.selection.select import select
from stages.core.errors import UsageError

CALLS = 5
_one_at_a_time = Lock()  # timings beside each other would say nothing


def published(folder: Path) -> dict[str, Path]:
    """Folders with a manifest at most two levels below, by their relative path."""
    found = sorted(path.parent for pattern in ("*", "*/*") for path in folder.glob(f"{pattern}/{MANIFEST_FILE}"))
    return {each.relative_to(folder).as_posix(): each for each in found}


def executions(folder: Path) -> list[str]:
    """What this machine may run of a folder, the fastest first. Raises ArtificerError when it may run nothing."""
    manifest = Manifest.from_json((folder / MANIFEST_FILE).read_bytes())
    choice = select(manifest, host.detect(), Policy(accuracy="any"))
    return list(dict.fromkeys(each.label for each in choice.executions))


def compare(folder: Path, names: tuple[str, str], query: str, documents: list[str]) -> dict[str, Any]:
    """Scores of both, ranks, and the median time of a call with all documents, in milliseconds.

    Raises UsageError for a model with several labels, which ranks nothing.
    """
    with _one_at_a_time:
        sides = [_scored(folder, name, query, documents) for name in names]
    ranks = [_ranks(scores) for scores, _ in sides]
    order = sorted(range(len(documents)), key=lambda i: ranks[0][i])
    return {
        "milliseconds": [round(milliseconds, 2) for _, milliseconds in sides],
        "rows": [
            {
                "document": documents[i],
                "scores": [sides[0][0][i], sides[1][0][i]],
                "ranks": [ranks[0][i], ranks[1][i]],
            }
            for i in order
        ],
    }


def _scored(folder: Path, name: str, query: str, documents: list[str]) -> tuple[list[float], float]:
    with artificer.load(folder, variant=name, accuracy="any") as model:
        pairs = [(query, document) for document in documents]
        scores = model.predict(pairs)
        if scores.ndim > 1:
            raise UsageError(f"{folder} gives {scores.shape[1]} scores for each text, and this page compares one.")
        times = []
        for _ in range(CALLS):
            start = perf_counter()
            scores = model.predict(pairs)
            times.append(1000 * (perf_counter() - start))
    return [float(score) for score in scores], median(times)


def _ranks(scores: list[float]) -> list[int]:
    order = sorted(range(len(scores)), key=lambda i: (-scores[i], i))
    return [order.index(i) + 1 for i in range(len(scores))]
