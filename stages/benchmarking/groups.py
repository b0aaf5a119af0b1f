"""Which subjects may be in memory together: where not all fit, they take turns in groups, each with a torch float32."""

from stages.benchmarking.subjects import TimedSubject

# What all subjects together may hold, and what a process needs before it holds a model.
RESIDENT_BYTES = 12e9
PROCESS_BYTES = 0.4e9


def fitting_groups(wanted: list[TimedSubject], room: float) -> list[list[TimedSubject]]:
    """The subjects in groups, in order, each led by torch float32; one group if all fit into `room` bytes.

    A subject that does not fit beside torch float32 has a group of its own all the same: it may need less than the
    estimate, and its outcome is recorded.
    """
    baseline, *others = wanted
    groups: list[list[TimedSubject]] = []
    for subject in others:
        if not groups or sum(map(resident_estimate, [*groups[-1], subject])) > room:
            groups.append([baseline])
        groups[-1].append(subject)
    return groups or [[baseline]]


def resident_estimate(subject: TimedSubject) -> float:
    """An estimate of a process's peak memory: the runtime, and the weights while they load."""
    if subject.runtime is None:
        return PROCESS_BYTES + 1.3 * subject.size_bytes
    return PROCESS_BYTES + 2.3 * subject.size_bytes
