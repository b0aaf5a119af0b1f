"""A checkpoint as torch.export's program, with dynamic batch and length: what both exporters can convert."""

import inspect
from pathlib import Path
from typing import Any

from artificer.manifest import INPUT_NAMES
from stages.building import torch_model
from stages.building.dense_experts import use_dense_experts
from stages.core.errors import first_line

# Texts to trace with: two rows of different lengths, so that neither dimension looks constant.
EXAMPLE = (["How do plants eat?", "Why?"], ["Plants make food from light.", "At noon the sun is high above the field."])


class UntraceableError(RuntimeError):
    """torch.export has no graph of the model."""


def example_inputs(model: Any, source: Path) -> dict[str, Any]:
    """Tensors `[2, length]` by name: what the tokenizer gives and the model takes."""
    encoded = torch_model.load_tokenizer(source)(*EXAMPLE, padding=True, return_tensors="pt")
    taken = inspect.signature(model.forward).parameters
    return {name: encoded[name] for name in INPUT_NAMES if name in encoded and name in taken}


def exported_program(model: Any, inputs: dict[str, Any]) -> Any:
    """The `torch.export.ExportedProgram` that returns the logits of `inputs`, in their order.

    Raises:
        UntraceableError: the model's code depends on what a text holds, or on its length.
    """
    import torch

    class Logits(torch.nn.Module):
        """A fixed signature: an input that a model takes by `**kwargs` stops torch.export."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *tensors: Any) -> Any:
            return self.model(**dict(zip(inputs, tensors, strict=True))).logits

    use_dense_experts(model)
    model.config.use_cache = False  # torch.export refuses a cache among a decoder's outputs
    dynamic = torch.export.Dim.DYNAMIC
    with torch.no_grad():
        try:
            program = torch.export.export(
                Logits().eval(),
                tuple(inputs.values()),
                dynamic_shapes=(tuple({0: dynamic, 1: dynamic} for _ in inputs),),
                strict=False,
            )
        except Exception as error:  # the model's own code may do anything
            raise UntraceableError(
                "torch.export cannot follow the model's code for any batch and length: "
                + first_line(error).partition("! For more")[0]
            ) from error
    _convert_before_subtraction(program.graph_module)
    return program


def _convert_before_subtraction(module: Any) -> None:
    """Make integers float before they are subtracted from a float number, as in `1.0 - attention_mask` of XLNet: the
    type promotion of torch's ONNX exporter fails on it."""
    import torch

    for node in list(module.graph.nodes):
        if node.target is not torch.ops.aten.rsub.Scalar or not isinstance(node.args[1], float):
            continue
        taken, made = node.args[0].meta["val"], node.meta["val"]
        if taken.dtype == made.dtype:
            continue
        with module.graph.inserting_before(node):
            converted = module.graph.call_function(torch.ops.aten.to.dtype, (node.args[0], made.dtype))
        converted.meta["val"] = taken.to(made.dtype)
        node.args = (converted, *node.args[1:])
    module.recompile()
