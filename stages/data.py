"""Stage `data`: a model's texts, normalised: evaluation and calibration pairs, and the benchmark's workloads.

Later stages depend on these files alone, so that adding or editing a set re-runs only what uses it.
"""

from stages.core import paths
from stages.core.errors import DataError
from stages.core.params import BuildParams, load_params
from stages.records.pairs import Texts, write_pairs, write_workloads
from stages.registry.model_list import load_entry
from stages.texts.set_use import is_borrowed
from stages.texts.sets import load_pairs, origin, require_rows, set_names, workload_texts


def run(slug: str) -> None:
    """Write the files of a model. Raises DataError when a set cannot be read or is too small. An evaluation set without
    labels is enough for parity; quality is not measured then."""
    params = load_params()
    entry = load_entry(slug)
    names = set_names(slug, entry, params.data)
    evaluation_set, calibration_set = (params.data.sets[name] for name in names)
    evaluation, calibration = load_pairs(names[0], evaluation_set), load_pairs(names[1], calibration_set)
    require_rows(names[0], len(evaluation), "evaluation")
    require_rows(names[1], len(calibration), "calibration")
    write_workloads(slug, _workloads(params))
    write_pairs(
        paths.evaluation(slug),
        names[0],
        evaluation,
        borrowed=is_borrowed(entry, evaluation_set),
        relevant_from=evaluation_set.relevant_from,
        origin=origin(names[0], evaluation_set),
    )
    write_pairs(
        paths.calibration(slug),
        names[1],
        calibration,
        borrowed=is_borrowed(entry, calibration_set),
        origin=origin(names[1], calibration_set),
    )
    print(f"{len(evaluation)} evaluation pairs of {names[0]}, {len(calibration)} calibration pairs of {names[1]}")


def _workloads(params: BuildParams) -> dict[str, Texts]:
    found = {}
    for name, workload in params.benchmark.chosen.workloads.items():
        pairs = load_pairs(workload.set, params.data.sets[workload.set])
        if not pairs:
            raise DataError(f"data set {workload.set!r}: found 0 rows; workload {name!r} needs {workload.pairs}.")
        found[name] = workload_texts(pairs, workload)
    return found
