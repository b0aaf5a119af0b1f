"""The executions of a variant to measure on this host: at which precisions, and on which devices."""

from pathlib import Path
from typing import NamedTuple

from artificer.backends import BACKENDS, open_session
from artificer.manifest import Device, ExecutionPrecision, Host
from stages.core.variants import VariantRow


class Execution(NamedTuple):
    """`is_default`: the runtime chooses this precision when it is not told one."""

    precision: ExecutionPrecision
    is_default: bool
    device: Device = "cpu"


def executions(graph: Path, row: VariantRow, host: Host) -> list[Execution]:
    """The precisions on the CPU, the variant's own first; then a GPU where this host has one for the graph."""
    found = _on_cpu(graph, row, host.cores)
    if BACKENDS[row.backend].device_problem(host, "cuda", row.precision_class) is None:
        found.append(Execution("f32", True, "cuda"))
    return found


def _on_cpu(graph: Path, row: VariantRow, threads: int) -> list[Execution]:
    """The variant's own precision; then, for float32, the runtime's default where that differs."""
    if not BACKENDS[row.backend].takes_precision:
        return [Execution("f32", True)]
    try:
        session = open_session(row.backend, graph, threads=threads, execution_precision=None)
    except Exception:  # the reason is recorded when its own precision is measured
        return [Execution(row.execution_precision, False)]
    default = session.execution_precision
    session.close()
    if row.execution_precision != "f32":
        return [Execution(row.execution_precision, default == row.execution_precision)]
    return [Execution("f32", True)] if default == "f32" else [Execution("f32", False), Execution(default, True)]
