"""Stage `data`: a model's texts, normalised: evaluation and calibration pairs, and the benchmark's workloads.

What follows depends on these files alone, so that a set that is added or edited re-runs only what uses it.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from artificer.manifest import DatasetInfo, canonical_json
from stages.core import files, paths
from stages.core.errors import DataError, first_line
from stages.core.params import BuildParams, Columns, DataParams, DataSet, Workload, load_params
from stages.registry.model_list import COMMIT_PATTERN, ModelEntry, load_entry

MINIMUM_CALIBRATION_ROWS = 8
MINIMUM_EVALUATION_ROWS = 2
NANOBEIR_CANDIDATES = 100
LARGEST_LABEL = 1e12


Classes = tuple[int | str, ...]


class Pair(Struct, frozen=True, kw_only=True):
    """Two texts; `label` is graded relevance or a gold score, or which of a model's labels apply, by index or name;
    null for calibration."""

    query: str
    passage: str
    label: float | Classes | None = None


class DataFile(Struct, frozen=True):
    """Normalised pairs, and the name of the set in params.yaml that they came from."""

    name: str
    pairs: tuple[Pair, ...]


def run(slug: str) -> None:
    """Write the files of a model. Raises DataError when a set is unreadable or too small. An evaluation set may lack
    labels: then parity is proven, and quality is not measured."""
    build_params = load_params()
    params = build_params.data
    names = set_names(slug, load_entry(slug), params)
    evaluation = load_pairs(names[0], params.sets[names[0]])
    calibration = load_pairs(names[1], params.sets[names[1]])
    if len(evaluation) < MINIMUM_EVALUATION_ROWS:
        raise DataError(
            f"data set {names[0]!r}: found {len(evaluation)} rows; evaluation needs at least {MINIMUM_EVALUATION_ROWS}."
        )
    if len(calibration) < MINIMUM_CALIBRATION_ROWS:
        raise DataError(
            f"data set {names[1]!r}: found {len(calibration)} rows; calibration needs at least "
            f"{MINIMUM_CALIBRATION_ROWS}, and a few hundred to be of use."
        )
    workloads = {
        name: workload_texts(load_pairs(workload.set, params.sets[workload.set]), workload)
        for name, workload in build_params.benchmark.chosen.workloads.items()
    }
    for name, texts in workloads.items():
        if not texts:
            workload = build_params.benchmark.chosen.workloads[name]
            raise DataError(f"data set {workload.set!r}: found 0 rows; workload {name!r} needs {workload.pairs}.")
    files.write_file(paths.workloads(slug), canonical_json(workloads))
    write_pairs(paths.evaluation(slug), names[0], evaluation)
    write_pairs(paths.calibration(slug), names[1], calibration)
    print(f"{len(evaluation)} evaluation pairs of {names[0]}, {len(calibration)} calibration pairs of {names[1]}")


def set_names(slug: str, entry: ModelEntry, params: DataParams) -> tuple[str, str]:
    """The model's evaluation and calibration set. Raises DataError when params.yaml has no such set."""
    names = (entry.data.evaluation or params.evaluation, entry.data.calibration or params.calibration)
    for name, where in zip(names, ("evaluation", "calibration"), strict=True):
        if name not in params.sets:
            raise DataError(f"{paths.REGISTRY}: models.{slug}.data.{where}: no set {name!r} in {paths.PARAMS}.")
    return names


def check(slug: str, entry: ModelEntry, params: BuildParams) -> None:
    """Raise DataError when a set that the model uses is malformed, or not pinned; sets of the Hub are not fetched."""
    workloads = (workload.set for workload in params.benchmark.chosen.workloads.values())
    for name in dict.fromkeys((*set_names(slug, entry, params.data), *workloads)):
        data_set = params.data.sets[name]
        if data_set.path:
            load_pairs(name, data_set)
        else:
            _pinned_revision(name, data_set)


def write_pairs(path: Path, name: str, pairs: Iterable[Pair]) -> None:
    """One header line with the set's name, then a pair a line."""
    lines = [json.dumps({"set": name})] + [msgspec.json.encode(pair).decode() for pair in pairs]
    files.write_file(path, ("\n".join(lines) + "\n").encode())


def read_pairs(path: Path) -> DataFile:
    """What `write_pairs` wrote."""
    header, *rows = path.read_bytes().splitlines()
    return DataFile(json.loads(header)["set"], tuple(msgspec.json.decode(row, type=Pair) for row in rows))


def load_workloads(slug: str) -> dict[str, list[tuple[str, str]]]:
    """The benchmark's pairs of texts by workload."""
    return msgspec.json.decode(paths.workloads(slug).read_bytes(), type=dict[str, list[tuple[str, str]]])


def workload_texts(pairs: tuple[Pair, ...], workload: Workload) -> list[tuple[str, str]]:
    """The first pairs of a set, each text cut and then repeated."""

    def shape(text: str) -> str:
        return " ".join([text[: workload.max_characters]] * workload.repeat)

    return [(shape(pair.query), shape(pair.passage)) for pair in pairs[: workload.pairs]]


def describe(path: Path, rows: int) -> DatasetInfo:
    """Name, number and hash of the first `rows` pairs, those that were used, for the manifest."""
    data = read_pairs(path)
    used = data.pairs[:rows]
    digest = hashlib.sha256(b"".join(msgspec.json.encode(pair) + b"\n" for pair in used)).hexdigest()
    return DatasetInfo(name=data.name, rows=len(used), sha256=digest)


def load_pairs(name: str, data_set: DataSet) -> tuple[Pair, ...]:
    """The rows of a set of params.yaml. Raises DataError that names the row and column that is wrong."""
    if data_set.path:
        rows = _local_rows(name, Path(data_set.path))
        pairs = _from_columns(name, rows, data_set.columns)
    else:
        revision = _pinned_revision(name, data_set)
        if data_set.layout == "nanobeir":
            pairs = _nanobeir(data_set, revision)
        else:
            rows = _hub_rows(data_set, revision, data_set.config, data_set.split)
            pairs = _from_columns(name, rows, data_set.columns)
    return tuple(islice(pairs, data_set.rows))


def _local_rows(name: str, path: Path) -> Iterator[tuple[str, Any]]:
    if not any(path.is_relative_to(folder) for folder in paths.DATA_FOLDERS) or ".." in path.parts:
        folders = " or ".join(str(folder) for folder in paths.DATA_FOLDERS)
        raise DataError(f"{paths.PARAMS}: data.sets.{name}.path: expected a file below {folders}, found {path}.")
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{paths.PARAMS}: data.sets.{name}.path: {path} cannot be read: {error}.") from None
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                yield f"{path}:{number}", json.loads(line)
            except (ValueError, RecursionError) as error:
                raise DataError(f"{path}:{number}: expected a JSON object: {error}.") from None


def _from_columns(name: str, rows: Iterable[tuple[str, Any]], columns: Columns | None) -> Iterator[Pair]:
    assert columns is not None, name  # params.py requires it for this layout
    for where, row in rows:
        if not isinstance(row, dict):
            raise DataError(f"{where}: expected a JSON object, found a {type(row).__name__}.")
        for column in filter(None, (columns.query, columns.passage, columns.label, columns.classes)):
            if column not in row:
                raise DataError(f"{where}: no column {column!r}; it has: {', '.join(map(str, row))}.")
        query, passage = row[columns.query], row[columns.passage]
        label = row[columns.label] if columns.label else None
        if not (is_text(query) and is_text(passage)):
            raise DataError(f"{where}: {columns.query} and {columns.passage}: expected two texts that are not empty.")
        is_number = isinstance(label, int | float) and not isinstance(label, bool) and abs(label) < LARGEST_LABEL
        if columns.label and not is_number:
            raise DataError(f"{where}: {columns.label}: expected a number, found {label!r}.")
        gold = None if label is None else float(label)
        yield Pair(
            query=query, passage=passage, label=_classes(where, row, columns.classes) if columns.classes else gold
        )


def _classes(where: str, row: dict[str, Any], column: str) -> Classes:
    """Which labels apply: one or a list of indices or names."""
    value = row[column]
    found = value if isinstance(value, list | tuple) else [value]
    for one in found:
        if isinstance(one, bool) or not (isinstance(one, str) or (isinstance(one, int) and 0 <= one < LARGEST_LABEL)):
            raise DataError(
                f"{where}: {column}: expected the index or the name of a label, or a list of them, found {value!r}."
            )
    if len(set(found)) != len(found):
        raise DataError(f"{where}: {column}: one label is there twice: {value!r}.")
    return tuple(found)


def is_text(value: Any) -> bool:
    """Whether it can be scored: not empty, and no half of a surrogate pair, which JSON can spell and UTF-8 cannot."""
    return isinstance(value, str) and bool(value.strip()) and not any("\ud800" <= char <= "\udfff" for char in value)


def _pinned_revision(name: str, data_set: DataSet) -> str:
    revision = data_set.revision or ""
    if re.fullmatch(COMMIT_PATTERN, revision):
        return revision
    locked = json.loads(paths.DATA_LOCK.read_text(encoding="utf-8")).get(name, {})
    if locked.get("dataset") != data_set.dataset or locked.get("from") != revision:
        raise DataError(
            f"{paths.PARAMS}: data.sets.{name}.revision: {revision!r} of {data_set.dataset} is not pinned in "
            f"{paths.DATA_LOCK}. Run `python -m stages pin-data {name}`."
        )
    return str(locked["commit"])


def _hub_rows(data_set: DataSet, revision: str, config: str | None, split: str | None) -> Iterator[tuple[str, Any]]:
    import datasets

    where = f"{data_set.dataset} {config or ''} {split}"
    try:
        rows = datasets.load_dataset(data_set.dataset, config, split=split, revision=revision)
    except Exception as error:  # the library raises OSError, ValueError and its own kinds
        raise DataError(f"{where}: the data set cannot be loaded: {first_line(error)}") from None
    yield from ((f"{where} row {number}", row) for number, row in enumerate(rows))


def _nanobeir(data_set: DataSet, revision: str) -> Iterator[Pair]:
    """Each query with BM25's first candidates, as sentence-transformers' CrossEncoderNanoBEIREvaluator reads them."""
    for split in data_set.splits:

        def table(config: str, key: str, split: str = split) -> dict[str, Any]:
            return {str(row[key]): row for _, row in _hub_rows(data_set, revision, config, split)}

        corpus, queries = table("corpus", "_id"), table("queries", "_id")
        relevant: dict[str, set[str]] = {}
        for _, row in _hub_rows(data_set, revision, "qrels", split):
            ids = row["corpus-id"]
            relevant.setdefault(str(row["query-id"]), set()).update([ids] if isinstance(ids, str) else ids)
        for query_id, row in table("bm25", "query-id").items():
            right = relevant.get(query_id, set())
            found = row["corpus-ids"][:NANOBEIR_CANDIDATES]
            # The evaluator adds the positives that BM25 missed (always_rerank_positives).
            for corpus_id in [*sorted(right - set(found)), *found]:
                yield Pair(
                    query=queries[query_id]["text"],
                    passage=corpus[corpus_id]["text"],
                    label=2.0 if corpus_id in right else 0.0,
                )
