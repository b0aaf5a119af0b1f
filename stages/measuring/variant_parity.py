"""One variant against the reference, in every way that it can be executed here."""

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from artificer.backends import BACKENDS
from artificer.host import class_of, gpu_class
from artificer.inference.tokenization import TextTokenizer
from artificer.manifest import Host, Metrics
from artificer.manifest.metric_names import LENGTH_METRIC
from artificer.proving.judging import missed, thresholds_class
from artificer.proving.length_probe import Asked, LengthGap, ask_lengths, faulty_ranges, length_metrics
from artificer.proving.measurement import Measurement
from artificer.proving.outputs import Outputs, outputs
from artificer.proving.reference_answers import Expected, Logits
from stages.core import paths
from stages.core.errors import first_line
from stages.core.params import BuildParams, load_params
from stages.core.variants import VariantRow, row
from stages.measuring.executions import Execution, executions, open_execution
from stages.measuring.expected import load_expected
from stages.measuring.measure import measure
from stages.measuring.second_process import ask_again
from stages.records.host_record import load_host
from stages.records.model_spec import load_spec
from stages.records.open_tokenizer import open_tokenizer
from stages.records.parity_records import VariantParity
from stages.records.variant_record import VariantRecord, digest, load_record


@dataclass(frozen=True, slots=True, kw_only=True)
class _Variant:
    """What all executions of the variant have in common."""

    slug: str
    row: VariantRow
    graph: Path
    host: Host
    tokenizer: TextTokenizer
    expected: Expected
    params: BuildParams

    def thresholds(self, execution: Execution) -> Metrics:
        """What pack will judge the execution by."""
        name = thresholds_class(self.row.precision_class, execution.precision)
        return self.params.thresholds[name].by_name()


class _Answers(NamedTuple):
    """What sessions returned: for the evaluation pairs, and for the texts of many lengths, in a first and in a second
    process; None where these are not asked."""

    outputs: Outputs
    first: Asked | None
    second: Asked | None


def measure_variant(slug: str, variant_id: str) -> VariantParity:
    """Every execution in turn, one session at a time; a workaround only where its precision failed."""
    spec, params, host = load_spec(slug), load_params(), load_host()
    record, table_row = load_record(slug, variant_id), row(variant_id)
    variant = _Variant(
        slug=slug,
        row=table_row,
        graph=paths.variant(slug, table_row) / table_row.file_name,
        host=host,
        tokenizer=open_tokenizer(spec, record.inputs),
        expected=load_expected(spec, params.parity, params.parity.rows),
        params=params,
    )
    measured: list[Measurement] = []
    kept: list[Logits] = []
    failed: dict[tuple[str, str], str] = {}
    own = ("cpu", table_row.execution_precision)
    for execution in executions(variant.graph, table_row, host):
        key, label = (execution.device, execution.precision), execution.label(variant_id)
        if execution.is_workaround and key not in failed:
            continue
        if key != own and not measured:
            break  # its own precision cannot be run
        try:
            answers = _answers(variant, execution)
        except Exception as problem:
            # A runtime may raise anything for a graph. That is the outcome of this execution, and does not end the
            # build; where nothing of the variant's own precision runs, it is the outcome of the variant.
            print(f"{label:24} cannot be run: {first_line(problem)}", flush=True)
            failed.setdefault(key, first_line(problem))
            continue
        found = _measurement(variant, execution, answers)
        measured.append(found)
        kept.append(answers.outputs.logits)
        _print(label, found)
        if reasons := missed(found.metrics, variant.thresholds(execution), None, found.faulty_lengths):
            print(f"{label:24} misses its thresholds: {'; '.join(reasons)}", flush=True)
            failed.setdefault(key, reasons[0])
    return _result(record, None if measured else failed[own], measured, kept)


def _answers(variant: _Variant, execution: Execution) -> _Answers:
    """All that sessions compute, in two processes. Raises whatever the runtime does."""
    expected, host = variant.expected, variant.host
    with closing(open_execution(variant.graph, variant.row, host, execution, expected.task.output)) as session:
        found = outputs(session, variant.tokenizer, expected, with_batches=True)
        if not expected.lengths.texts:
            return _Answers(found, None, None)
        first = ask_lengths(session, variant.tokenizer, expected, "first")
    # The first session's memory is free again.
    return _Answers(found, first, ask_again(variant.slug, variant.row.id, execution))


def _measurement(variant: _Variant, execution: Execution, answers: _Answers) -> Measurement:
    """No session runs here, so that an error is one of the task, and is not taken for a graph that cannot be run."""
    host, expected = variant.host, variant.expected
    of_lengths: Metrics = {}
    gaps: list[LengthGap] = []
    if answers.first is not None:
        of_lengths, gaps = length_metrics(answers.first, answers.second, expected)
    package = BACKENDS[variant.row.backend].packages[execution.device]
    return Measurement(
        runtime_version=host.runtimes[package.distribution],
        isa_class=class_of(host, variant.row.backend) if execution.device == "cpu" else gpu_class(host.accelerators),
        execution_precision=execution.precision,
        default_precision=execution.is_default,
        metrics=measure(answers.outputs, expected) | of_lengths,
        device=execution.device,
        settings=dict(execution.settings),
        faulty_lengths=faulty_ranges(gaps, variant.thresholds(execution)[LENGTH_METRIC]),
    )


def _result(
    record: VariantRecord, error: str | None, measured: list[Measurement], logits: list[Logits]
) -> VariantParity:
    return VariantParity(
        id=record.id,
        digest=digest(record),
        error=error,
        measurements=tuple(measured),
        logits=tuple(tuple(tuple(float(value) for value in values) for values in each) for each in logits),
    )


def _print(label: str, found: Measurement) -> None:
    named = " ".join(f"{name} {value:.3g}" for name, value in found.metrics.items() if value is not None)
    print(f"{label:24} {named}", flush=True)
