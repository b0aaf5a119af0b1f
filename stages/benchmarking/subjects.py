"""What is timed: torch in three dtypes, and every built variant."""

from pathlib import Path

import msgspec
from msgspec import Struct

from artificer.backends import BACKENDS
from artificer.manifest import Device, ExecutionPrecision, Host, Runtime, on_device
from stages.core import paths
from stages.core.variants import row
from stages.records.benchmarks import BASELINE
from stages.records.model_spec import ModelSpec
from stages.records.variant_record import digest, load_record

TORCH_ROWS: dict[str, ExecutionPrecision] = {BASELINE: "f32", "torch-bf16": "bf16", "torch-fp16": "f16"}


class TimedSubject(Struct, frozen=True, kw_only=True):
    """What to time: a variant's graph, or the torch reference in some dtype (then `runtime` is None), on a device.

    `alias_of` is the id of a subject whose figures are this one's as well.
    """

    id: str
    digest: str | None
    runtime: Runtime | None
    path: Path
    inputs: tuple[str, ...]
    execution_precision: ExecutionPrecision
    size_bytes: int
    device: Device = "cpu"
    alias_of: str | None = None

    @property
    def timed_as(self) -> str:
        """The label of the subject that is timed: its own, or its alias's."""
        return on_device(self.alias_of or self.id, self.device)

    @property
    def label(self) -> str:
        """The id, and the device where that is not the CPU."""
        return on_device(self.id, self.device)


def timed_subjects(slug: str, spec: ModelSpec, host: Host) -> list[TimedSubject]:
    """Torch in three dtypes, then every built variant at its own precision. On a host with an NVIDIA GPU, torch and the
    graphs that can run there are timed on that as well."""
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
    for variant_id in spec.variants:
        record, table_row = load_record(slug, variant_id), row(variant_id)
        if record.status == "built":
            alias = next((each.id for each in found if each.id == record.alias_of), None)
            found.append(
                TimedSubject(
                    id=variant_id,
                    digest=digest(record),
                    runtime=table_row.backend,
                    path=paths.variant(slug, table_row) / table_row.file_name,
                    inputs=record.inputs,
                    execution_precision=table_row.execution_precision,
                    size_bytes=sum(entry.size for entry in record.files),
                    alias_of=alias,
                )
            )
            if BACKENDS[table_row.backend].device_problem(host, "cuda", table_row.precision_class) is None:
                found.append(msgspec.structs.replace(found[-1], device="cuda"))
    return found
