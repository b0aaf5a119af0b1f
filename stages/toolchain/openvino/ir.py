"""Reading facts of an OpenVINO IR."""

from pathlib import Path


def input_names(path: Path) -> tuple[str, ...]:
    """Names of an IR's inputs, in its order."""
    import openvino

    return tuple(port.get_any_name() for port in openvino.Core().read_model(path).inputs)
