"""A checkpoint as torch's ONNX program: the ONNX graph, and the last route to an OpenVINO IR."""

import contextlib
import io
import logging
from typing import Any

from stages.building.exported_program import exported_program
from stages.building.replacements import for_tracing
from stages.core.errors import first_line

OPSET = 20
WHOLE_FILE_BYTES = 1.8e9  # of weights: protobuf ends at 2 GiB


def onnx_program(model: Any, inputs: dict[str, Any], opset: int = OPSET) -> Any:
    """The `torch.onnx.ONNXProgram` of a model that returns the logits of `inputs`.

    Raises:
        UntraceableError: torch.export has no graph of it.
        RuntimeError: torch.onnx has no operators for it.
    """
    import torch

    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it warns of operators that a classifier does not have
    with for_tracing(), contextlib.redirect_stdout(io.StringIO()):  # it prints its progress
        traced = exported_program(model, inputs)
        try:
            program = torch.onnx.export(
                traced,
                dynamo=True,
                opset_version=opset,
                input_names=list(inputs),
                output_names=["logits"],
                verbose=False,
            )
        except torch.onnx.OnnxExporterError as error:  # its own text is advice; what went wrong is the cause
            raise RuntimeError(f"torch.onnx: {first_line(_root(error))}") from error
    assert program is not None
    return program


def weights_outside(parameters: int) -> bool:
    """Whether float32 weights are too large for one file with the graph."""
    return parameters * 4 > WHOLE_FILE_BYTES


def _root(error: BaseException) -> BaseException:
    """What an error was raised from, at the beginning."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error
