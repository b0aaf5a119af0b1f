"""One variant against the reference, at each precision and on each device that it runs on here."""

from contextlib import closing
from pathlib import Path

from artificer.backends import BACKENDS, open_session
from artificer.backends.session import Session
from artificer.host import gpu_class
from artificer.manifest import Host, Metrics, on_device
from stages.core import paths
from stages.core.errors import first_line
from stages.core.params import load_params
from stages.core.variants import VariantRow, row
from stages.measuring.executions import Execution, executions
from stages.measuring.measure import Logits, load_expected, measure, outputs
from stages.records.host_record import load_host
from stages.records.model_spec import load_spec
from stages.records.open_tokenizer import open_tokenizer
from stages.records.parity_records import Measurement, VariantParity
from stages.records.variant_record import VariantRecord, digest, load_record


def measure_variant(slug: str, variant_id: str) -> VariantParity:
    """Every execution in turn, one session at a time."""
    spec, params, host = load_spec(slug), load_params().parity, load_host()
    expected = load_expected(spec, params, params.rows)
    record, table_row = load_record(slug, variant_id), row(variant_id)
    graph = paths.variant(slug, table_row) / table_row.file_name
    tokenizer = open_tokenizer(spec, record.inputs)
    measured: list[Measurement] = []
    kept: Logits | None = None
    for execution in executions(graph, table_row, host):
        try:
            with closing(_open(graph, table_row, host, execution, expected.task.output)) as session:
                found = outputs(session, tokenizer, expected, with_batches=True)
        except Exception as problem:
            # A runtime may raise anything for a graph. That is the outcome of this variant, and does not end the build;
            # at another precision than the variant's own, or on a GPU, it is the outcome of that execution alone.
            where = on_device(variant_id, execution.device)
            print(f"{where:24} {execution.precision} cannot be run: {first_line(problem)}", flush=True)
            if (execution.precision, execution.device) == (table_row.execution_precision, "cpu"):
                return _result(record, first_line(problem), [], None)
            continue
        kept = found.logits if kept is None else kept
        measured.append(_measurement(table_row, host, execution, measure(found, expected)))
        _print(variant_id, measured[-1])
    return _result(record, None, measured, kept)


def _open(graph: Path, table_row: VariantRow, host: Host, execution: Execution, output: str) -> Session:
    session = open_session(
        table_row.backend,
        graph,
        threads=host.cores,
        execution_precision=execution.precision,
        device=execution.device,
        output=output,
    )
    if execution.device == "cpu" and session.execution_precision != execution.precision:
        session.close()
        raise RuntimeError(f"this machine's CPU does not compute in {execution.precision}")
    return session


def _measurement(table_row: VariantRow, host: Host, execution: Execution, found: Metrics) -> Measurement:
    return Measurement(
        runtime_version=host.runtimes[BACKENDS[table_row.backend].packages[execution.device].distribution],
        isa_class=host.isa_class if execution.device == "cpu" else gpu_class(host.accelerators),
        execution_precision=execution.precision,
        default_precision=execution.is_default,
        metrics=found,
        device=execution.device,
    )


def _result(
    record: VariantRecord, error: str | None, measured: list[Measurement], logits: Logits | None
) -> VariantParity:
    return VariantParity(
        id=record.id,
        digest=digest(record),
        error=error,
        measurements=tuple(measured),
        logits=() if logits is None else tuple(tuple(float(value) for value in values) for values in logits),
    )


def _print(variant_id: str, found: Measurement) -> None:
    named = " ".join(f"{name} {value:.3g}" for name, value in found.metrics.items() if value is not None)
    print(f"{on_device(variant_id, found.device):24} {found.execution_precision:4} {named}", flush=True)
