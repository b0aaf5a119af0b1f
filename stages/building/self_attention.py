"""What the exporters trace in place of DeBERTa's scripted branches.

DeBERTa asks in every layer whether queries and keys are of the same length, in functions compiled by
`torch.jit.script`, so that a trace keeps both answers: nested graphs, which onnxruntime's and nncf's passes copy, skip
or work through one by one (docs/decisions/0022). In a cross-encoder attention is self-attention: they always are.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

# Module and function, and the place of the argument that it returns where the lengths are equal. The modules' other
# scripted functions stay: they compute sizes, which a trace would turn into constants.
BRANCHES = (
    ("transformers.models.deberta.modeling_deberta", "build_rpos", 2),
    ("transformers.models.deberta.modeling_deberta", "uneven_size_corrected", 0),
    ("transformers.models.deberta_v2.modeling_deberta_v2", "build_rpos", 2),
)


@contextmanager
def without_branches() -> Iterator[None]:
    """While it lasts, the functions above answer for self-attention, where a loaded model has imported them."""
    found = [(sys.modules[module], name, place) for module, name, place in BRANCHES if module in sys.modules]
    scripted = [getattr(module, name) for module, name, _ in found]
    try:
        for module, name, place in found:
            setattr(module, name, _argument(place))
        yield
    finally:
        for (module, name, _), function in zip(found, scripted, strict=True):
            setattr(module, name, function)


def _argument(place: int) -> Callable[..., Any]:
    return lambda *given: given[place]
