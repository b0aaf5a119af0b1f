"""Small questions to an ONNX file, asked without loading its weights."""

from pathlib import Path
from typing import Any


def load_graph(path: Path) -> Any:
    """The model without external data."""
    import onnx

    return onnx.load(str(path), load_external_data=False)


def opset(model: Any) -> int:
    """The version of the default operator set."""
    return next(int(entry.version) for entry in model.opset_import if entry.domain in ("", "ai.onnx"))


def input_names(model: Any) -> tuple[str, ...]:
    """Names of the graph's inputs, in its order."""
    return tuple(value.name for value in model.graph.input)
