"""The executions of a variant to measure on this host: its backend's offers, and how to open one."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from artificer.backends import BACKENDS, open_session
from artificer.backends.offers import Offer
from artificer.backends.session import Session
from artificer.manifest import Device, ExecutionPrecision, Host, execution_label
from stages.core.variants import VariantRow


class Execution(NamedTuple):
    """`is_default`: the runtime chooses this precision when it is not told one. `is_workaround`: it is measured only
    where the same precision failed in the runtime's own way."""

    precision: ExecutionPrecision
    is_default: bool
    device: Device = "cpu"
    settings: Mapping[str, str] = {}
    is_workaround: bool = False

    def label(self, variant_id: str) -> str:
        """What it is called (`manifest.execution_label`)."""
        return execution_label(variant_id, self.device, self.precision, self.settings)


def offers(row: VariantRow, host: Host) -> list[Offer]:
    """What the backend offers for a variant here: its own precision on the CPU first, and alone where it was built for
    a half precision; each precision with its workarounds behind it; a GPU last."""
    found = BACKENDS[row.backend].offers(host, row.precision_class)
    own = [offer for offer in found if offer.device == "cpu" and offer.precision == row.execution_precision]
    if not own:  # this CPU does not have it: measured all the same, for the reason
        own = [Offer(precision=row.execution_precision)]
    others = [offer for offer in found if offer not in own and row.execution_precision == "f32"]
    precisions = [precision for offer in others if (precision := (offer.device, offer.precision))]
    return own + sorted(others, key=lambda offer: precisions.index((offer.device, offer.precision)))


def executions(graph: Path, row: VariantRow, host: Host) -> list[Execution]:
    """The offers, and the precision that the runtime chooses for float32 graphs where it offers none such: what a user
    gets who asks for nothing is recorded in any case."""
    default = _default_precision(graph, row, host.cores)
    found = [
        Execution(
            offer.precision,
            not offer.settings and (offer.device != "cpu" or offer.precision == default),
            offer.device,
            offer.settings,
            offer.workaround,
        )
        for offer in offers(row, host)
    ]
    if default is not None and row.execution_precision == "f32" and default not in {each.precision for each in found}:
        found.append(Execution(default, True))
    return found


def open_execution(graph: Path, row: VariantRow, host: Host, execution: Execution, output: str) -> Session:
    """A session that computes as the execution says. Raises whatever the runtime does, and SelfTestError where it
    computes in another precision."""
    return open_session(
        row.backend,
        graph,
        threads=host.cores,
        execution_precision=execution.precision,
        device=execution.device,
        settings=execution.settings,
        output=output,
    )


def _default_precision(graph: Path, row: VariantRow, threads: int) -> ExecutionPrecision | None:
    """What the runtime computes in when it is not told; None where the graph cannot be opened."""
    if not BACKENDS[row.backend].takes_precision:
        return "f32"
    try:
        session = open_session(row.backend, graph, threads=threads, execution_precision=None)
    except Exception:  # the reason is recorded when its own precision is measured
        return None
    default = session.execution_precision
    session.close()
    return default
