"""On which sets a model is judged and calibrated, and whether those are the demo's, borrowed for another model."""

from pathlib import Path

from msgspec import Struct

from stages.core import paths
from stages.core.params import BuildParams, DataSet
from stages.registry.model_list import ModelEntry
from stages.texts.sets import file_content, set_names


class SetUse(Struct, frozen=True, kw_only=True):
    """A set as a model uses it. Of a Hub data set, which is not fetched for this, rows and labels are not known."""

    name: str
    rows: int | None
    labelled: bool | None
    borrowed: bool

    def __str__(self) -> str:
        if self.rows is None:
            return f"{self.name} (of the Hub)"
        labels = "" if self.labelled is None else ", labelled" if self.labelled else ", without labels"
        return f"{self.name} ({self.rows:,} rows{labels})"


def set_uses(slug: str, entry: ModelEntry, params: BuildParams) -> tuple[SetUse, SetUse]:
    """What the model is judged on, and calibrated on: as many rows as are used. Raises DataError for a bad set."""
    evaluation, calibration = set_names(slug, entry, params.data)
    return (
        _use(entry, evaluation, params.data.sets[evaluation], params.parity.rows, shows_labels=True),
        _use(
            entry,
            calibration,
            params.data.sets[calibration],
            params.calibration.rows,
            shows_labels=False,
        ),
    )


def is_borrowed(entry: ModelEntry, data_set: DataSet) -> bool:
    """Whether this is one of the demo's sets, and the model is not the demo's."""
    return _is_demo(data_set.path) and not _is_demo(entry.source.path)


def borrowed_warning(slug: str, evaluation: SetUse, calibration: SetUse) -> str | None:
    """What to tell a user whose model is judged or calibrated on the demo's sets."""
    said = [f"{verb} on {use}" for verb, use in (("judged", evaluation), ("calibrated", calibration)) if use.borrowed]
    if not said:
        return None
    return (
        f"warning: models.{slug} is {' and '.join(said)}: the demo's English texts, whatever the model's language and "
        f"domain. `python -m stages use-data {slug}` gives it data of its own (docs/data.md)."
    )


def _use(entry: ModelEntry, name: str, data_set: DataSet, rows: int, *, shows_labels: bool) -> SetUse:
    if not data_set.path:
        return SetUse(name=name, rows=None, labelled=None, borrowed=False)
    count, labelled = file_content(name, data_set)
    return SetUse(
        name=name,
        rows=min(count, rows),
        labelled=labelled if shows_labels else None,
        borrowed=is_borrowed(entry, data_set),
    )


def _is_demo(path: str | None) -> bool:
    return path is not None and Path(path).is_relative_to(paths.DEMO)
