"""OpenVINO IR on the CPU: what is known of OpenVINO without importing it."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from artificer.backends.offers import Offer
from artificer.backends.packages import Package
from artificer.manifest import Device, ExecutionPrecision, Host, PrecisionClass, Runtime, Settings
from artificer.manifest.isa_classes import isa_of

if TYPE_CHECKING:
    from artificer.backends.session import OpenGraph

_HALF: tuple[tuple[ExecutionPrecision, frozenset[str]], ...] = (
    ("bf16", frozenset({"avx512_bf16", "amx_bf16"})),
    ("f16", frozenset({"amx_fp16", "fp16"})),
)
"""Any of these instruction sets makes a half precision worth trying. avx512_fp16 is not among them: where that is all
that a CPU has for f16, OpenVINO takes four times as long as in f32."""
_WITHOUT_SNIPPETS: Settings = {"SNIPPETS_MODE": "DISABLE"}
"""Without the CPU plugin's own compiler for groups of nodes, whose attention is wrong at some lengths in bf16."""


class OpenVinoBackend:
    """OpenVINO's CPU plugin."""

    name: Runtime = "openvino"
    packages: Mapping[Device, Package] = {"cpu": Package("openvino", "openvino", "openvino")}
    takes_precision = True
    settings: tuple[Mapping[str, str], ...] = (_WITHOUT_SNIPPETS,)
    compiles_per_shape = True
    threads_per_stream: int | None = None
    sidecar_suffix = ".bin"

    def device_problem(self, host: Host, device: Device, precision_class: PrecisionClass) -> str | None:  # noqa: ARG002
        """OpenVINO has no support for NVIDIA GPUs."""
        return None if device in self.packages else f"{self.name} runs on the CPU here"

    def offers(self, host: Host, precision_class: PrecisionClass) -> tuple[Offer, ...]:  # noqa: ARG002
        """float32, and half precisions on CPUs that have them; then each without snippets, where snippets are wrong.

        With AMX, bf16 without snippets is not only a workaround: it is faster for short texts.
        """
        isa = set(isa_of(host, self.name))
        precisions: list[ExecutionPrecision] = ["f32", *(name for name, any_of in _HALF if any_of & isa)]
        plain = [Offer(precision=each) for each in precisions]
        faster = {"bf16"} if "amx_bf16" in isa else set()
        others = [
            Offer(precision=each, settings=_WITHOUT_SNIPPETS, workaround=each not in faster) for each in precisions
        ]
        return (*plain, *sorted(others, key=lambda offer: offer.workaround))

    def sidecars(self, graph: Path) -> dict[str, int]:
        """The weights, in the `.bin` of the same name. How long it must be is not known."""
        return {graph.with_suffix(".bin").name: 0}

    def graph_opener(self) -> "OpenGraph":
        """See `Backend.graph_opener`."""
        from artificer.backends.openvino_session import open_openvino

        return open_openvino
