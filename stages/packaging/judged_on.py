"""On which texts a model was judged and calibrated, as its card says it."""

from msgspec import Struct

from artificer.manifest import DatasetInfo, Manifest
from stages.core import paths
from stages.records.pairs import DataFile, read_pairs


class JudgedOn(Struct, frozen=True, kw_only=True):
    """Lines of the card. `warning` is empty, unless a set is the demo's and the model is not."""

    evaluation: str
    calibration: str
    warning: str


def judged_on(manifest: Manifest) -> JudgedOn:
    """From the texts that the build used."""
    evaluation, calibration = read_pairs(paths.evaluation(manifest.slug)), read_pairs(paths.calibration(manifest.slug))
    labels = "labelled" if evaluation.pairs[0].label is not None else "without labels"
    return JudgedOn(
        evaluation=f"{_named(evaluation, manifest.evaluation)}, {labels}",
        calibration=_named(calibration, manifest.calibration),
        warning=_warning(evaluation, calibration),
    )


def _named(data: DataFile, used: DatasetInfo) -> str:
    owner = ", Artificer's demo set" if data.borrowed else ""
    return f"`{used.name}`, {used.rows:,} pairs{owner}"


def _warning(evaluation: DataFile, calibration: DataFile) -> str:
    said = [
        f"{verb} on `{data.name}`"
        for verb, data in (("judged", evaluation), ("calibrated", calibration))
        if data.borrowed
    ]
    if not said:
        return ""
    return (
        f"\n> **Not measured on data of its own.** This model was {' and '.join(said)}: English texts of Artificer's\n"
        "> demo. In another language or domain, quality and the scores of int8 variants may differ.\n"
    )
