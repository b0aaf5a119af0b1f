"""The ONNX graph that snippets for other libraries name."""

from pathlib import PurePosixPath

from artificer.manifest import Manifest, PrecisionClass

_NONE_PASSED = "onnx/model.onnx"


def example_graph(manifest: Manifest, classes: tuple[PrecisionClass, ...]) -> str:
    """The last ONNX file among the passed variants of these precision classes."""
    graphs = [v.graph for v in manifest.variants if v.graph and v.precision_class in classes]
    return next((graph for graph in reversed(graphs) if PurePosixPath(graph).suffix == ".onnx"), _NONE_PASSED)
