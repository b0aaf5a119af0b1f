"""Stage `parity`: every built variant, run as a service runs it, against the reference. It measures; `pack` judges.

int8 scores depend on the instruction set, so figures accumulate over host classes in registry/parity/, in git.
"""

from collections.abc import Sequence
from contextlib import closing

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from artificer.backends import BACKENDS, open_session
from artificer.backends.session import Session
from artificer.host import gpu_class
from artificer.inference import scoring
from artificer.inference.tokenization import PairTokenizer
from artificer.manifest import (
    Activation,
    Device,
    ExecutionPrecision,
    Host,
    Metrics,
    canonical_json,
    on_device,
    tree_digest,
)
from artificer.tasks import TASKS
from stages.building.torch_model import rows_at_once
from stages.building.variant_builder import VariantRecord, load_record, published_files
from stages.core import files, paths
from stages.core.child_process import ChildKilledError, in_child
from stages.core.errors import ResourceError, first_line
from stages.core.params import load_params
from stages.core.variants import VariantRow, row
from stages.data import read_pairs
from stages.host import current_host, load_host
from stages.metrics.differences import differences
from stages.records.model_spec import ModelSpec, load_spec
from stages.reference import load_reference

BATCH_SENSITIVITY_PAIRS = 64

Pairs = list[tuple[str, str]]


class Measurement(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A variant at one execution precision; `default_precision`: it is what the runtime uses when left alone. On
    `cuda`, `isa_class` is the GPU's class."""

    runtime_version: str
    isa_class: str
    execution_precision: ExecutionPrecision
    default_precision: bool
    metrics: Metrics
    device: Device = "cpu"


class VariantParity(Struct, frozen=True, kw_only=True):
    """The first measurement is at the variant's own precision (float32 but for bf16) on the CPU, which decides; `error`
    says why there is none. Logits are those of it."""

    id: str
    digest: str
    error: str | None
    measurements: tuple[Measurement, ...]
    logits: tuple[tuple[float, ...], ...]


def run(slug: str) -> None:
    """Write parity.json."""
    spec, host = load_spec(slug), current_host()
    measured: dict[str, VariantParity] = {}
    for variant_id in spec.variants:
        record = load_record(slug, variant_id)
        if record.status != "built":
            continue
        alias = measured.get(record.alias_of or "")
        if alias is not None:
            measured[variant_id] = msgspec.structs.replace(alias, id=variant_id, digest=_digest(record))
            print(f"{variant_id:24} the same graph as {alias.id}", flush=True)
            continue
        graph = paths.variant(slug, row(variant_id)) / row(variant_id).file_name
        try:
            measured[variant_id] = in_child(measure, slug, variant_id, weights=graph)
        except ChildKilledError as problem:
            # No verdict: it may well run where there is more room, or when less else does.
            raise ResourceError(
                f"parity of {slug}: {variant_id}: {problem}. Stop other programs, or run it on a larger machine."
            ) from None
    results = list(measured.values())
    without_logits = [msgspec.structs.replace(result, logits=()) for result in results]
    files.write_file(paths.parity_records(slug) / f"{host.name}.json", canonical_json(without_logits))
    files.write_file(paths.parity(slug), canonical_json(results))


def measure(slug: str, variant_id: str) -> VariantParity:
    """One variant against the reference, at each precision that it runs at; one session at a time."""
    spec, params, host = load_spec(slug), load_params().parity, load_host()
    data = read_pairs(paths.evaluation(slug)).pairs[: params.rows]
    pairs = [(pair.query, pair.passage) for pair in data]
    task = TASKS[spec.task]
    expected = np.asarray(load_reference(slug).logits, dtype=np.float32)
    record, table_row = load_record(slug, variant_id), row(variant_id)
    tokenizer = open_tokenizer(spec, record.inputs)
    measured: list[Measurement] = []
    kept: NDArray[np.float32] = np.empty((0, 0), dtype=np.float32)
    for precision, is_default, device in _executions(slug, table_row, host):
        try:
            session = open_session(
                table_row.backend,
                paths.variant(slug, table_row) / table_row.file_name,
                threads=host.cores,
                execution_precision=precision,
                device=device,
            )
            with closing(session):
                if device == "cpu" and session.execution_precision != precision:
                    raise RuntimeError(f"this machine's CPU does not compute in {precision}")
                logits = scoring.logits(session, tokenizer, pairs, batch_size=params.batch_size)
                if not np.isfinite(logits).all():
                    raise OverflowError("it returns infinite logits")
                moved = batch_sensitivity(session, tokenizer, pairs, params.batch_size, spec.activation)
        except Exception as problem:
            # A runtime may refuse a graph in any way it likes; that is this variant's outcome, not the build's,
            # and at another precision than its own, or on a GPU, it is that execution's alone.
            print(f"{on_device(variant_id, device):24} {precision} cannot be run: {first_line(problem)}", flush=True)
            if (precision, device) == (table_row.execution_precision, "cpu"):
                return _result(record, first_line(problem))
            continue
        kept = kept if len(kept) else logits
        measured.append(
            Measurement(
                runtime_version=host.runtimes[BACKENDS[table_row.backend].packages[device].distribution],
                isa_class=host.isa_class if device == "cpu" else gpu_class(host.accelerators),
                execution_precision=precision,
                default_precision=is_default,
                metrics=differences(task, logits, expected, spec.head, pairs, params.top_k)
                | {"batch_score_max_abs": moved},
                device=device,
            )
        )
        _print_row(variant_id, measured[-1])
    return _result(record, None, measured, kept)


def measured_elsewhere(
    slug: str, variant_id: str, digest: str, measured_here: Sequence[Measurement]
) -> tuple[Measurement, ...]:
    """What other hosts measured on the very same bytes on classes of CPU and GPU that this one says nothing about, one
    host a class, in order of their names."""
    own = load_host()
    known = {("cpu", own.isa_class), *((each.device, each.isa_class) for each in measured_here)}
    found: dict[tuple[str, str], Measurement] = {}
    for path in sorted(paths.parity_records(slug).glob("*.json")):
        for result in msgspec.json.decode(path.read_bytes(), type=list[VariantParity]):
            if path.stem != own.name and (result.id, result.digest) == (variant_id, digest):
                for measurement in result.measurements:
                    if (measurement.device, measurement.isa_class) not in known:
                        found.setdefault((measurement.isa_class, measurement.execution_precision), measurement)
    return tuple(found.values())


def load_parity(slug: str) -> dict[str, VariantParity]:
    """What `run` wrote, by variant id."""
    found = msgspec.json.decode(paths.parity(slug).read_bytes(), type=list[VariantParity])
    return {variant.id: variant for variant in found}


def open_tokenizer(spec: ModelSpec, inputs: tuple[str, ...]) -> PairTokenizer:
    """The runtime's own tokenizer on the pinned files."""
    path = paths.source(spec.slug) / spec.tokenizer.file
    return PairTokenizer(path, spec.tokenizer, max_length=spec.max_length, inputs=inputs)


def batch_sensitivity(
    session: Session, tokenizer: PairTokenizer, pairs: Pairs, batch_size: int, activation: Activation
) -> float:
    """The largest move of a score between being scored alone and in a padded batch of mixed lengths."""
    chosen = pairs[:BATCH_SENSITIVITY_PAIRS]
    encoded = tokenizer.encode(chosen)
    rows = rows_at_once(int(encoded.lengths.max()), batch_size)
    batches = [range(start, min(start + rows, len(chosen))) for start in range(0, len(chosen), rows)]
    together = np.concatenate([session.run(tokenizer.batch(encoded, batch)) for batch in batches])
    alone = np.concatenate([session.run(tokenizer.batch(encoded, [i])) for i in range(len(chosen))])
    gap = np.abs(scoring.activate(together, activation) - scoring.activate(alone, activation))
    return float(gap.max())


def _executions(slug: str, table_row: VariantRow, host: Host) -> list[tuple[ExecutionPrecision, bool, Device]]:
    """What to measure: the precisions on the CPU, then a GPU where this machine offers one for the graph."""
    found: list[tuple[ExecutionPrecision, bool, Device]] = [
        (precision, is_default, "cpu") for precision, is_default in _precisions(slug, table_row, host.cores)
    ]
    if BACKENDS[table_row.backend].device_problem(host, "cuda", table_row.precision_class) is None:
        found.append(("f32", True, "cuda"))
    return found


def _precisions(slug: str, table_row: VariantRow, threads: int) -> list[tuple[ExecutionPrecision, bool]]:
    """The variant's own first; then, for float32, the runtime's default where that is another one. The flag says which
    is the default."""
    if not BACKENDS[table_row.backend].takes_precision:
        return [("f32", True)]
    graph = paths.variant(slug, table_row) / table_row.file_name
    try:
        session = open_session(table_row.backend, graph, threads=threads, execution_precision=None)
    except Exception:  # what its own precision says about it is recorded
        return [(table_row.execution_precision, False)]
    default = session.execution_precision
    session.close()
    if table_row.execution_precision != "f32":
        return [(table_row.execution_precision, default == table_row.execution_precision)]
    return [("f32", True)] if default == "f32" else [("f32", False), (default, True)]


def _result(
    record: VariantRecord,
    error: str | None,
    measured: list[Measurement] | None = None,
    logits: NDArray[np.float32] | None = None,
) -> VariantParity:
    return VariantParity(
        id=record.id,
        digest=_digest(record),
        error=error,
        measurements=tuple(measured or ()),
        logits=tuple(tuple(float(value) for value in values) for values in ([] if logits is None else logits)),
    )


def _digest(record: VariantRecord) -> str:
    return tree_digest(published_files(record))


def _print_row(variant_id: str, found: Measurement) -> None:
    named = " ".join(f"{name} {value:.3g}" for name, value in found.metrics.items() if value is not None)
    print(f"{on_device(variant_id, found.device):24} {found.execution_precision:4} {named}", flush=True)
