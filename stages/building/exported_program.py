"""A checkpoint as torch.export's program, with dynamic batch and length: what both exporters can convert."""

import inspect
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from artificer.manifest import INPUT_NAMES
from stages.building import torch_model
from stages.building.dense_experts import use_dense_experts
from stages.core.errors import first_line

# Texts to trace with: two rows of different lengths, so that neither dimension looks constant.
EXAMPLE = (["How do plants eat?", "Why?"], ["Plants make food from light.", "At noon the sun is high above the field."])
# Settings of a model type while it is traced, which change nothing that it computes. Funnel's formula of relative
# positions without a shift of rows, by its paper's appendix A.2.2: sin(i - j) as a sum of products.
SETTINGS: dict[str, dict[str, Any]] = {"funnel": {"attention_type": "factorized"}}
NEAR_ZERO = 1e-8  # onnxscript's tolerance
# What torch.export raises, by the name of the class, in plain words.
OBSTACLES = {
    "ConstraintViolationError": "it fixes the number or the length of texts",
    "GuardOnDataDependentSymNode": "it depends on what a text holds",
    "PendingUnbackedSymbolNotFound": "it depends on what a text holds",
    "UserError": "it fixes the number or the length of texts",
}


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
    _attend_to_all(model)
    model.config.use_cache = False  # torch.export refuses a cache among a decoder's outputs
    dynamic = torch.export.Dim.DYNAMIC
    with torch.no_grad(), _settings(model):
        try:
            program = torch.export.export(
                Logits().eval(),
                tuple(inputs.values()),
                dynamic_shapes=(tuple({0: dynamic, 1: dynamic} for _ in inputs),),
                strict=False,
            )
        except Exception as error:  # the model's own code may do anything
            print(f"torch.export: {first_line(error)}")
            obstacle = OBSTACLES.get(type(error).__name__, first_line(error))
            raise UntraceableError(
                f"torch.export cannot follow the model's code for any batch and length: {obstacle}"
            ) from error
    _convert_before_subtraction(program.graph_module)
    _keep_small_summands(program.graph_module)
    return program


def _attend_to_all(model: Any) -> None:
    """Give BigBird the attention of texts that are not long: it is cut to these, and changes to it at the first."""
    for part in list(model.modules()):
        if hasattr(part, "set_attention_type"):
            part.set_attention_type("original_full")


@contextmanager
def _settings(model: Any) -> Iterator[None]:
    """While it lasts, the model has the settings of its type."""
    with ExitStack() as stack:
        for name, value in SETTINGS.get(model.config.model_type, {}).items():
            stack.enter_context(mock.patch.object(model.config, name, value))
        yield


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


def _keep_small_summands(module: Any) -> None:
    """Write numbers of at most 1e-8 that are added as tensors `[1]`: onnxscript takes such a number for 0 and drops the
    sum, and Helium's norm divides by the root of one."""
    import torch

    for node in list(module.graph.nodes):
        if node.target is not torch.ops.aten.add.Tensor or not isinstance(node.args[1], float):
            continue
        taken, number = node.args[0].meta["val"], node.args[1]
        if not 0 < abs(number) <= NEAR_ZERO or taken.ndim == 0:
            continue
        with module.graph.inserting_before(node):
            made = module.graph.call_function(torch.ops.aten.full.default, ([1], number), {"dtype": taken.dtype})
        made.meta["val"] = taken.new_full((1,), number)
        node.args = (node.args[0], made, *node.args[2:])
    module.recompile()
