"""OpenVINO IR on the CPU: what is known of OpenVINO without importing it."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from artificer.backends.packages import Package
from artificer.manifest import Device, ExecutionPrecision, Host, PrecisionClass, Runtime

if TYPE_CHECKING:
    from artificer.backends.session import Session, SessionOptions

_BF16 = {"avx512_bf16", "amx_bf16"}
"""Any of these instruction sets lets OpenVINO compute in bfloat16."""


class OpenVinoBackend:
    """OpenVINO's CPU plugin."""

    name: Runtime = "openvino"
    packages: Mapping[Device, Package] = {"cpu": Package("openvino", "openvino", "openvino")}
    takes_precision = True
    compiles_per_shape = True
    sidecar_suffix = ".bin"

    def device_problem(self, host: Host, device: Device, precision_class: PrecisionClass) -> str | None:  # noqa: ARG002
        """OpenVINO has no support for NVIDIA GPUs."""
        return None if device in self.packages else f"{self.name} runs on the CPU here"

    def precisions(self, host: Host) -> tuple[ExecutionPrecision, ...]:
        """float32, and bfloat16 on CPUs that have it."""
        return ("f32", "bf16") if _BF16 & set(host.isa) else ("f32",)

    def sidecars(self, graph: Path) -> dict[str, int]:
        """The weights, in the `.bin` of the same name. How long it must be is not known."""
        return {graph.with_suffix(".bin").name: 0}

    def open(self, graph: Path, options: "SessionOptions") -> "Session":
        """See `Backend.open`."""
        from artificer.backends.openvino_session import open_openvino

        return open_openvino(graph, options)
