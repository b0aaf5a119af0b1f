"""Rows of a data set of the Hugging Face Hub, at a pinned commit."""

from collections.abc import Iterator
from typing import Any

from stages.core import paths
from stages.core.errors import DataError, first_line
from stages.core.names import is_commit
from stages.core.params import DataSet
from stages.texts.set_pins import load_pins


def pinned_revision(name: str, data_set: DataSet) -> str:
    """The commit to read. Raises DataError where params.yaml names a branch that is not pinned."""
    revision = data_set.revision or ""
    if is_commit(revision):
        return revision
    locked = load_pins().get(name, {})
    if locked.get("dataset") != data_set.dataset or locked.get("from") != revision:
        raise DataError(
            f"{paths.PARAMS}: data.sets.{name}.revision: {revision!r} of {data_set.dataset} is not pinned in "
            f"{paths.DATA_LOCK}. Run `python -m stages pin-data {name}`."
        )
    return str(locked["commit"])


def hub_rows(data_set: DataSet, revision: str, config: str | None, split: str | None) -> Iterator[tuple[str, Any]]:
    """The rows of one split. Raises DataError when it cannot be loaded."""
    import datasets

    where = f"{data_set.dataset} {config or ''} {split}"
    try:
        rows = datasets.load_dataset(data_set.dataset, config, split=split, revision=revision)
    except Exception as error:  # the library raises OSError, ValueError and its own kinds
        raise DataError(f"{where}: the data set cannot be loaded: {first_line(error)}") from None
    yield from ((f"{where} row {number}", row) for number, row in enumerate(rows))
