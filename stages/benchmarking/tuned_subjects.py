"""The subjects of a benchmark with the tuning that each is timed with."""

from collections.abc import Sequence

import msgspec

from artificer.manifest import Tuning
from artificer.selection.policy import BATCH_METRIC, BATCH_ROUNDING
from stages.benchmarking.subjects import TimedSubject
from stages.benchmarking.tuning import PAIRS, tune
from stages.core.errors import first_line
from stages.records.model_spec import ModelSpec
from stages.records.pairs import Texts
from stages.records.parity_records import VariantParity, load_parity

MOVEMENT = 2.0  # times what parity found on other texts in other batches


def with_tuning(
    subjects: Sequence[TimedSubject], spec: ModelSpec, threads: int, workloads: dict[str, Texts], seconds: float
) -> list[TimedSubject]:
    """Every graph tuned, one after the other, aliases with what they are an alias of; torch as it is.

    One that cannot be tuned keeps the runtime's defaults: where it does not run at all, the rounds say so.
    """
    parity, found = load_parity(spec.slug), dict[str, Tuning]()
    texts = _mixed(workloads)
    for subject in subjects:
        if subject.runtime is None or subject.alias_of is not None or not seconds:
            continue
        try:
            tuned = tune(subject, spec, threads, texts, seconds, _movement(subject, parity.get(subject.id)))
        except Exception as problem:  # a runtime may raise anything for a graph
            print(f"{subject.label:24} cannot be tuned: {first_line(problem)}", flush=True)
            continue
        found[subject.label] = tuned.tuning
        print(f"{subject.label:24} {tuned.tuning}: {tuned.speed_ratio:.2f}x the default", flush=True)
    return [msgspec.structs.replace(subject, tuning=found.get(subject.timed_as)) for subject in subjects]


def _mixed(workloads: dict[str, Texts]) -> Texts:
    """Pairs of each workload in turn."""
    return [pairs[i % len(pairs)] for i in range(PAIRS) for pairs in workloads.values()]


def _movement(subject: TimedSubject, parity: VariantParity | None) -> float:
    """How far scores may move: as far as parity found that they do, and float32 rounding at least."""
    key = (subject.device, subject.execution_precision, subject.settings)
    measured = parity.measurements if parity is not None else ()
    own = (each for each in measured if (each.device, each.execution_precision, each.settings) == key)
    found = next(own, None)
    proven = found.metrics.get(BATCH_METRIC) if found is not None else None
    return max(BATCH_ROUNDING, MOVEMENT * (proven or 0.0))
