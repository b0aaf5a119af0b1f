"""Stage `data`: a model's texts, normalised: evaluation and calibration pairs, and the benchmark's workloads.

Later stages depend on these files alone, so that adding or editing a set re-runs only what uses it.
"""

from stages.core import paths
from stages.core.errors import DataError
from stages.core.params import BuildParams, load_params
from stages.records.pairs import Pair, Texts, write_pairs, write_workloads
from stages.registry.model_list import load_entry
from stages.texts.sets import load_pairs, set_names, workload_texts

MINIMUM_CALIBRATION_ROWS = 8
MINIMUM_EVALUATION_ROWS = 2


def run(slug: str) -> None:
    """Write the files of a model. Raises DataError when a set cannot be read or is too small. An evaluation set without
    labels is enough for parity; quality is not measured then."""
    params = load_params()
    names = set_names(slug, load_entry(slug), params.data)
    evaluation, calibration = (load_pairs(name, params.data.sets[name]) for name in names)
    _require_rows(names[0], evaluation, MINIMUM_EVALUATION_ROWS, "evaluation needs at least {}")
    _require_rows(
        names[1], calibration, MINIMUM_CALIBRATION_ROWS, "calibration needs at least {}, and a few hundred to be of use"
    )
    write_workloads(slug, _workloads(params))
    write_pairs(paths.evaluation(slug), names[0], evaluation)
    write_pairs(paths.calibration(slug), names[1], calibration)
    print(f"{len(evaluation)} evaluation pairs of {names[0]}, {len(calibration)} calibration pairs of {names[1]}")


def _workloads(params: BuildParams) -> dict[str, Texts]:
    found = {}
    for name, workload in params.benchmark.chosen.workloads.items():
        pairs = load_pairs(workload.set, params.data.sets[workload.set])
        if not pairs:
            raise DataError(f"data set {workload.set!r}: found 0 rows; workload {name!r} needs {workload.pairs}.")
        found[name] = workload_texts(pairs, workload)
    return found


def _require_rows(name: str, pairs: tuple[Pair, ...], minimum: int, need: str) -> None:
    if len(pairs) < minimum:
        raise DataError(f"data set {name!r}: found {len(pairs)} rows; {need.format(minimum)}.")
