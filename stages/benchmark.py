"""Stage `benchmark`: speed of every built variant beside torch float32, bf16 and float16, on this host and its GPU.

Every graph is tuned first (stages/benchmarking/tuning.py). Every subject has a process of its own, which compiles what
`load(objective="latency")` compiles. Graphs and torch float32 then get calls of 1, 10 and 30 inputs of lengths that are
new to their process (stages/benchmarking/requests.py). In each round each scores every workload once, one at a time, so
that other load on the machine affects all alike. A ratio compares with torch float32 in the same round. Where not all
subjects fit into memory together, they take turns in groups, each beside a torch float32 of its own. Where the rounds
would take longer than `benchmark.max_minutes`, torch's half precisions are left out if they are far slower than torch
float32, as on a CPU without instructions for them; if that is not enough, there are fewer rounds, but at least two.
"""

import psutil

from artificer.manifest import Benchmark
from stages.benchmarking.groups import RESIDENT_BYTES, fitting_groups
from stages.benchmarking.other_load import OtherLoad
from stages.benchmarking.quieter_figures import BUSY_PERCENT, figures_to_keep, workloads_digest
from stages.benchmarking.rounds import Batches, Budget, time_group
from stages.benchmarking.subject_figures import benchmark_subject
from stages.benchmarking.subjects import timed_subjects
from stages.benchmarking.tuned_subjects import with_tuning
from stages.core.capacity import available_memory
from stages.core.params import load_params
from stages.records.benchmarks import BASELINE, speedup, write_benchmark
from stages.records.host_record import current_host
from stages.records.model_spec import load_spec
from stages.records.pairs import Texts, load_workloads


def run(slug: str) -> None:
    """Write benchmark.json, and the same into registry/benchmarks/<slug>/<host>.json, where figures accumulate."""
    spec, params, host = load_spec(slug), load_params().benchmark, current_host()
    threads = params.threads or host.cores
    workloads = load_workloads(slug)
    subjects = with_tuning(timed_subjects(slug, spec, host), spec, threads, workloads, params.tune_seconds)
    batches = _batches(workloads, params.chosen.batch_sizes)
    timed = [subject for subject in subjects if subject.alias_of is None]
    groups = fitting_groups(timed, min(RESIDENT_BYTES, available_memory()[0]))
    if len(groups) > 1:
        print(f"{len(timed)} subjects do not fit into memory together: {len(groups)} groups", flush=True)
    _warn_if_busy(slug)
    others = OtherLoad()
    budget = Budget(params.chosen.rounds, params.max_minutes * 60 / len(groups))
    measured = [time_group(group, spec, threads, workloads, batches, budget) for group in groups]
    found = [figures for subject in subjects if (figures := benchmark_subject(subject, measured, batches))]
    benchmark = Benchmark(
        host=host,
        preset=params.preset,
        threads=threads,
        rounds=min(len(next(iter(timings.seconds[BASELINE].values()))) for timings in measured),
        subjects=tuple(found),
        busy_percent=others.percent(),
        workloads_sha256=workloads_digest(slug),
    )
    write_benchmark(slug, figures_to_keep(slug, benchmark))
    print(f"{host.name}, {threads} threads each, other programs {benchmark.busy_percent} %, ratios to {BASELINE}")
    for figures in found:
        times, memory = speedup(figures), figures.peak_memory_bytes / 1e6
        print(f"{figures.label:24} {times:6.2f}x  load {figures.load_seconds:5.2f} s  peak {memory:7.0f} MB")


def _batches(workloads: dict[str, Texts], sizes: tuple[int, ...]) -> Batches:
    """The pairs of each workload in batches of each size, in order; the last may be shorter."""
    return {
        (name, size): [pairs[start : start + size] for start in range(0, len(pairs), size)]
        for name, pairs in workloads.items()
        for size in sizes
    }


def _warn_if_busy(slug: str) -> None:
    """Other load slows torch more than the variants, so the ratios become too large."""
    busy = psutil.cpu_percent(interval=0.5)
    if busy > BUSY_PERCENT:
        print(
            f"warning: other programs use {busy:.0f} % of this machine, so the speeds will be wrong. Measure again "
            f"when it is idle: `dvc repro -s -f benchmark@{slug}`, then `dvc repro`.",
            flush=True,
        )
