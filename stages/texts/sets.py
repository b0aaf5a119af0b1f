"""The sets of params.yaml: which ones a model uses, and their pairs."""

from functools import cache
from itertools import islice
from pathlib import Path
from typing import Literal

from stages.core import paths
from stages.core.errors import DataError
from stages.core.params import BuildParams, DataParams, DataSet, Workload
from stages.records.pairs import Pair, Texts
from stages.registry.model_list import ModelEntry
from stages.texts.columns import pairs_of
from stages.texts.hub_sets import hub_rows, pinned_revision
from stages.texts.local_files import local_rows
from stages.texts.nanobeir import nanobeir_pairs
from stages.texts.set_pins import check_file_pin

Use = Literal["evaluation", "calibration"]
FEWEST_ROWS: dict[Use, int] = {"evaluation": 2, "calibration": 8}


def set_names(slug: str, entry: ModelEntry, params: DataParams) -> tuple[str, str]:
    """The model's evaluation and calibration set. Raises DataError when params.yaml has no such set."""
    names = (entry.data.evaluation or params.evaluation, entry.data.calibration or params.calibration)
    for name, where in zip(names, ("evaluation", "calibration"), strict=True):
        if name not in params.sets:
            raise DataError(f"{paths.REGISTRY}: models.{slug}.data.{where}: no set {name!r} in {paths.PARAMS}.")
    return names


def load_pairs(name: str, data_set: DataSet) -> tuple[Pair, ...]:
    """The rows of a set of params.yaml. Raises DataError that names the row and column that is wrong."""
    if data_set.layout == "nanobeir" and not data_set.path:
        pairs = nanobeir_pairs(data_set, pinned_revision(name, data_set))
    else:
        assert data_set.columns is not None, name  # params.py requires them for this layout
        if data_set.path:
            check_file_pin(name, Path(data_set.path))
            rows = local_rows(name, Path(data_set.path), data_set.columns)
        else:
            rows = hub_rows(data_set, pinned_revision(name, data_set), data_set.config, data_set.split)
        pairs = pairs_of(rows, data_set.columns)
    return tuple(islice(pairs, data_set.rows))


def file_content(name: str, data_set: DataSet) -> tuple[int, bool]:
    """Rows of a local set, and whether they have labels. Many models share a set: it is read once, and again if it, its
    pin, or params.yaml changes. Raises DataError as `load_pairs` does."""
    paths_read = (paths.PARAMS, paths.DATA_LOCK, Path(data_set.path or ""))
    return _content(name, data_set, *(path.stat().st_mtime_ns if path.exists() else None for path in paths_read))


@cache
def _content(name: str, data_set: DataSet, *_changed: int | None) -> tuple[int, bool]:
    pairs = load_pairs(name, data_set)
    return len(pairs), bool(pairs) and pairs[0].label is not None


def origin(name: str, data_set: DataSet) -> tuple[str, str] | None:
    """The id and the pinned commit of a data set of the Hub; None for a local file."""
    if data_set.path or data_set.dataset is None:
        return None
    return data_set.dataset, pinned_revision(name, data_set)


def require_rows(name: str, count: int, use: Use) -> None:
    """Raise DataError when a set is too small for its use."""
    minimum = FEWEST_ROWS[use]
    if count < minimum:
        advice = ", and a few hundred to be useful" if use == "calibration" else ""
        raise DataError(f"data set {name!r}: found {count} rows; {use} needs at least {minimum}{advice}.")


def workload_texts(pairs: tuple[Pair, ...], workload: Workload) -> Texts:
    """The first pairs of a set, each text cut and then repeated."""

    def shape(text: str) -> str:
        return " ".join([text[: workload.max_characters]] * workload.repeat)

    return [(shape(pair.query), shape(pair.passage)) for pair in pairs[: workload.pairs]]


def check_sets(slug: str, entry: ModelEntry, params: BuildParams) -> None:
    """Raise DataError when a set that the model uses is malformed, or not pinned; sets of the Hub are not fetched."""
    workloads = (workload.set for workload in params.benchmark.chosen.workloads.values())
    for name in dict.fromkeys((*set_names(slug, entry, params.data), *workloads)):
        data_set = params.data.sets[name]
        if data_set.path:
            file_content(name, data_set)
        else:
            pinned_revision(name, data_set)
