"""Which graphs may run on an NVIDIA GPU here: read from the host alone, before a runtime is imported.

That the driver and the package are there does not yet mean that onnxruntime can use them: the session checks that
(`backends/onnx.py`), because onnxruntime itself falls back to the CPU without an error.
"""

from artificer.manifest import Host, PrecisionClass, Runtime

GPU_PACKAGE = "onnxruntime-gpu"


def cuda_problem(host: Host, runtime: Runtime, precision_class: PrecisionClass) -> str | None:
    """Why a graph cannot run on CUDA on `host`, or None."""
    if runtime != "onnx":
        return f"{runtime} runs on the CPU here"
    if precision_class == "int8":
        return "int8 graphs are made for CPUs: onnxruntime has no CUDA kernels for their operators"
    if not host.accelerators:
        return "this process sees no NVIDIA GPU"
    if GPU_PACKAGE not in host.runtimes:
        return f"{GPU_PACKAGE} is not installed: pip install 'artificer[cuda]', and remove onnxruntime"
    return None
