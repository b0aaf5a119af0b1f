"""Asking an execution once more in a process of its own: some faults come with a process and stay with it."""

from contextlib import closing

from artificer.proving.length_probe import Asked, ask_lengths
from stages.core import paths
from stages.core.child_process import ChildKilledError, in_child
from stages.core.params import load_params
from stages.core.variants import row
from stages.measuring.executions import Execution, open_execution
from stages.measuring.expected import load_expected
from stages.records.host_record import load_host
from stages.records.model_spec import load_spec
from stages.records.open_tokenizer import open_tokenizer
from stages.records.variant_record import load_record


def ask_again(slug: str, variant_id: str, execution: Execution) -> Asked:
    """The second part of the lengths, from a new process.

    Raises:
        RuntimeError: the process ended without an answer.
        Exception: whatever the runtime raises.
    """
    try:
        return in_child(_ask, slug, variant_id, execution, weights=None)
    except ChildKilledError as problem:
        # The first process could do this: the execution is at fault, not the machine's memory.
        raise RuntimeError(f"asked a second time, {problem}") from None


def _ask(slug: str, variant_id: str, execution: Execution) -> Asked:
    spec, table_row = load_spec(slug), row(variant_id)
    expected = load_expected(spec, load_params().parity, rows=1)
    graph = paths.variant(slug, table_row) / table_row.file_name
    tokenizer = open_tokenizer(spec, load_record(slug, variant_id).inputs)
    with closing(open_execution(graph, table_row, load_host(), execution, expected.task.output)) as session:
        return ask_lengths(session, tokenizer, expected, "second")
