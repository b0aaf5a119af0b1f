"""What is timed: torch in three dtypes, and every built variant."""

from pathlib import Path

from msgspec import Struct

from artificer.backends.offers import Offer
from artificer.manifest import Device, ExecutionPrecision, Host, Runtime, Settings, Tuning, execution_label, on_device
from stages.core import paths
from stages.core.variants import row
from stages.measuring.executions import offers
from stages.records.benchmarks import BASELINE
from stages.records.model_spec import ModelSpec
from stages.records.parity_records import VariantParity, load_parity
from stages.records.variant_record import digest, load_record

TORCH_ROWS: dict[str, ExecutionPrecision] = {BASELINE: "f32", "torch-bf16": "bf16", "torch-fp16": "f16"}


class TimedSubject(Struct, frozen=True, kw_only=True):
    """What to time: a variant's graph, or the torch reference in some dtype (then `runtime` is None), on a device.

    `alias_of` is the id of a subject whose figures are this one's as well. `tuning` is what a graph is timed with.
    """

    id: str
    digest: str | None
    runtime: Runtime | None
    path: Path
    inputs: tuple[str, ...]
    execution_precision: ExecutionPrecision
    size_bytes: int
    device: Device = "cpu"
    settings: Settings = {}
    alias_of: str | None = None
    tuning: Tuning | None = None

    @property
    def is_half_torch(self) -> bool:
        """Whether it is torch in bfloat16 or float16, which a CPU without instructions for them computes slowly."""
        return self.id in TORCH_ROWS and self.id != BASELINE

    @property
    def timed_as(self) -> str:
        """The label of the subject that is timed: its own, or its alias's."""
        return self._labelled(self.alias_of or self.id)

    @property
    def label(self) -> str:
        """What tells it from the others (`BenchmarkSubject.label`)."""
        return self._labelled(self.id)

    def _labelled(self, name: str) -> str:
        if self.runtime is None:
            return on_device(name, self.device)
        return execution_label(name, self.device, self.execution_precision, self.settings)


def timed_subjects(slug: str, spec: ModelSpec, host: Host) -> list[TimedSubject]:
    """Torch in three dtypes, then every built variant in each way that its backend offers here: a workaround only where
    `parity` measured it, and then in place of the way that failed. On a host with an NVIDIA GPU, torch and the graphs
    that can run there are timed on that as well."""
    weights = sum(entry.size for entry in spec.source.files if entry.path.endswith(".safetensors"))
    devices: tuple[Device, ...] = ("cpu", "cuda") if host.accelerators else ("cpu",)
    found = [
        TimedSubject(
            id=name, digest=None, runtime=None, path=paths.source(slug), inputs=(), execution_precision=precision,
            size_bytes=weights, device=device,
        )
        for device in devices
        for name, precision in TORCH_ROWS.items()
    ]  # fmt: skip
    parity = load_parity(slug)
    for variant_id in spec.variants:
        record, table_row = load_record(slug, variant_id), row(variant_id)
        if record.status == "built":
            alias = next((each.id for each in found if each.id == record.alias_of), None)
            found += [
                TimedSubject(
                    id=variant_id,
                    digest=digest(record),
                    runtime=table_row.backend,
                    path=paths.variant(slug, table_row) / table_row.file_name,
                    inputs=record.inputs,
                    execution_precision=offer.precision,
                    size_bytes=sum(entry.size for entry in record.files),
                    device=offer.device,
                    settings=dict(offer.settings),
                    alias_of=alias,
                )
                for offer in _timed(offers(table_row, host), parity.get(variant_id))
            ]
    return found


def _timed(offered: list[Offer], parity: VariantParity | None) -> list[Offer]:
    """Without workarounds that were not needed, and without what they replace."""
    measured = [
        (each.device, each.execution_precision, each.settings) for each in (parity.measurements if parity else ())
    ]
    needed = [o for o in offered if o.workaround and (o.device, o.precision, dict(o.settings)) in measured]
    replaced = {(offer.device, offer.precision) for offer in needed}
    plain = [o for o in offered if not o.workaround and (o.settings or (o.device, o.precision) not in replaced)]
    return [offer for offer in offered if offer in plain or offer in needed]
