"""A model's texts as stage `data` normalised them: evaluation and calibration pairs, and the benchmark's workloads."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from artificer.manifest import DatasetInfo, canonical_json
from stages.core import files, paths

Classes = tuple[int | str, ...]
Texts = list[tuple[str, str]]


class Pair(Struct, frozen=True, kw_only=True):
    """Two texts. `label` is graded relevance or a gold score, or which of a model's labels apply, by index or name;
    null for calibration."""

    query: str
    passage: str
    label: float | Classes | None = None


class DataFile(Struct, frozen=True):
    """Normalised pairs, and the name of the set in params.yaml that they came from. `borrowed`: it is the demo's, and
    the model is not. `relevant_from` is the set's own, if it has one. `dataset` and `revision` are those of the Hub."""

    name: str
    pairs: tuple[Pair, ...]
    borrowed: bool = False
    relevant_from: float | None = None
    dataset: str | None = None
    revision: str | None = None

    def relevance(self, default: float) -> float:
        """The label from which a pair counts as relevant."""
        return default if self.relevant_from is None else self.relevant_from

    def texts(self, rows: int) -> Texts:
        """The first pairs, without labels."""
        return [(pair.query, pair.passage) for pair in self.pairs[:rows]]


def write_pairs(
    path: Path,
    name: str,
    pairs: Iterable[Pair],
    *,
    borrowed: bool = False,
    relevant_from: float | None = None,
    origin: tuple[str, str] | None = None,
) -> None:
    """One header line with the set's name and what is known of it, then one pair per line. `origin` is the id and the
    commit of a data set of the Hub."""
    header: dict[str, Any] = {"set": name}
    if origin is not None:
        header["dataset"], header["revision"] = origin
    if borrowed:
        header["borrowed"] = True
    if relevant_from is not None:
        header["relevant_from"] = relevant_from
    lines = [json.dumps(header)] + [msgspec.json.encode(pair).decode() for pair in pairs]
    files.write_file(path, ("\n".join(lines) + "\n").encode())


def read_pairs(path: Path) -> DataFile:
    """What `write_pairs` wrote."""
    header, *rows = path.read_bytes().splitlines()
    found = json.loads(header)
    pairs = tuple(msgspec.json.decode(row, type=Pair) for row in rows)
    return DataFile(
        found["set"],
        pairs,
        found.get("borrowed", False),
        found.get("relevant_from"),
        found.get("dataset"),
        found.get("revision"),
    )


def write_workloads(slug: str, workloads: dict[str, Texts]) -> None:
    """Replace workloads.json."""
    files.write_file(paths.workloads(slug), canonical_json(workloads))


def load_workloads(slug: str) -> dict[str, Texts]:
    """The benchmark's pairs of texts by workload."""
    return msgspec.json.decode(paths.workloads(slug).read_bytes(), type=dict[str, Texts])


def describe(path: Path, rows: int) -> DatasetInfo:
    """Name, number and hash of the first `rows` pairs, which are those that were used, for the manifest."""
    data = read_pairs(path)
    used = data.pairs[:rows]
    digest = hashlib.sha256(b"".join(msgspec.json.encode(pair) + b"\n" for pair in used)).hexdigest()
    return DatasetInfo(name=data.name, rows=len(used), sha256=digest, dataset=data.dataset, revision=data.revision)
