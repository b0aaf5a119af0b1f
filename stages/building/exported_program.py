"""A checkpoint as torch.export's program, with dynamic batch and length: what both exporters can convert."""

import inspect
from pathlib import Path
from typing import Any

from artificer.manifest import INPUT_NAMES
from stages.building import torch_model

# Texts to trace with: two rows of different lengths, so that neither dimension looks constant.
EXAMPLE = (["How do plants eat?", "Why?"], ["Plants make food from light.", "At noon the sun is high above the field."])


def example_inputs(model: Any, source: Path) -> dict[str, Any]:
    """Tensors `[2, length]` by name: what the tokenizer gives and the model takes."""
    encoded = torch_model.load_tokenizer(source)(*EXAMPLE, padding=True, return_tensors="pt")
    taken = inspect.signature(model.forward).parameters
    return {name: encoded[name] for name in INPUT_NAMES if name in encoded and name in taken}


def exported_program(model: Any, inputs: dict[str, Any]) -> Any:
    """The `torch.export.ExportedProgram` that returns the logits of `inputs`, in their order."""
    import torch

    class Logits(torch.nn.Module):
        """A fixed signature: an input that a model takes by `**kwargs` stops torch.export."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *tensors: Any) -> Any:
            return self.model(**dict(zip(inputs, tensors, strict=True))).logits

    model.config.use_cache = False  # torch.export refuses a cache among a decoder's outputs
    dynamic = torch.export.Dim.DYNAMIC
    with torch.no_grad():
        return torch.export.export(
            Logits().eval(),
            tuple(inputs.values()),
            dynamic_shapes=(tuple({0: dynamic, 1: dynamic} for _ in inputs),),
            strict=False,
        )
