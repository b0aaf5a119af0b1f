"""What is recorded of the errors of other libraries."""

import pytest

from stages.core.errors import first_line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\n\nwhat went wrong\nadvice", "ValueError: what went wrong"),
        ("", "ValueError: no message"),
        (
            "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Non-zero status code returned while running ScatterND node. "
            "Name:'node_ScatterND_183' Status Message: MLFloat16 data type is not supported.",
            "ValueError: operator ScatterND: MLFloat16 data type is not supported.",
        ),
        (
            "[ONNXRuntimeError] : 1 : FAIL : Non-zero status code returned while running Reshape node. Name:'a' "
            "Status Message: /src/providers/cpu/reshape_helper.h:91 The input tensor cannot be reshaped",
            "ValueError: operator Reshape: The input tensor cannot be reshaped",
        ),
    ],
)
def test_the_first_line_says_what_went_wrong(text: str, shown: str) -> None:
    """Without onnxruntime's codes, names of nodes and lines of its source."""
    assert first_line(ValueError(text)) == shown
