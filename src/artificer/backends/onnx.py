"""ONNX graphs on onnxruntime: what is known of it without importing it."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from artificer.backends.offers import Offer
from artificer.backends.packages import Package
from artificer.manifest import Device, Host, PrecisionClass, Runtime

if TYPE_CHECKING:
    from artificer.backends.session import OpenGraph


class OnnxBackend:
    """onnxruntime on the CPU and on NVIDIA GPUs."""

    name: Runtime = "onnx"
    packages: Mapping[Device, Package] = {
        "cpu": Package(
            "onnxruntime", "onnxruntime", "onnx", ("onnxruntime-gpu", "onnxruntime-openvino", "onnxruntime-directml")
        ),
        "cuda": Package("onnxruntime-gpu", "onnxruntime", "cuda"),
    }
    takes_precision = False
    settings: tuple[Mapping[str, str], ...] = ()
    compiles_per_shape = False
    threads_per_stream = 1
    sidecar_suffix = None

    def device_problem(self, host: Host, device: Device, precision_class: PrecisionClass) -> str | None:
        """What the driver and the installed packages say. onnxruntime itself falls back to the CPU without an error,
        so that the session checks once more (`onnx_session.check_cuda`)."""
        if device == "cpu":
            return None
        if precision_class == "int8":
            return "int8 graphs are made for CPUs: onnxruntime has no CUDA kernels for their operators"
        if not host.accelerators:
            return "this process sees no NVIDIA GPU"
        if (package := self.packages[device]).distribution not in host.runtimes:
            other = self.packages["cpu"].distribution
            return f"{package.distribution} is not installed: {package.remedy}, and remove {other}"
        return None

    def offers(self, host: Host, precision_class: PrecisionClass) -> tuple[Offer, ...]:
        """The CPU, and a GPU where there is one for the graph: onnxruntime computes in the graph's own types."""
        on_gpu = self.device_problem(host, "cuda", precision_class) is None
        return (Offer(), Offer(device="cuda")) if on_gpu else (Offer(),)

    def sidecars(self, graph: Path) -> dict[str, int]:
        """The external data that the graph names."""
        from artificer.external_data import external_data

        return external_data(graph)

    def graph_opener(self) -> "OpenGraph":
        """See `Backend.graph_opener`."""
        from artificer.backends.onnx_session import open_onnx

        return open_onnx
