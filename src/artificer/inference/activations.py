"""What `activation_fn` may be: a name, one of torch's modules, or a function over an array of logits."""

from collections.abc import Callable
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from artificer.errors import InputError
from artificer.inference.scoring import activate
from artificer.manifest import Activation

Activator = Callable[[NDArray[np.float32]], NDArray[Any]]

_TORCH: dict[str, Activation] = {"Identity": "identity", "Sigmoid": "sigmoid", "Softmax": "softmax"}


def activator(wanted: Activator | str | None, default: Activation, apply_softmax: bool) -> Activator:
    """A function from logits `[n, labels]` to scores of that shape.

    Args:
        wanted: None for the model's own activation; `identity`, `sigmoid`, `softmax`; an instance of torch's module of
            that name (recognised without torch); or the caller's function over numpy arrays.
        apply_softmax: softmax over the labels afterwards, as CrossEncoder does it: of one label, that is 1.

    Raises:
        InputError: none of these.
    """
    first = _first(wanted, default)
    if not apply_softmax:
        return first
    return lambda logits: activate(np.asarray(first(logits), dtype=np.float32), "softmax")


def _first(wanted: Activator | str | None, default: Activation) -> Activator:
    if wanted is None:
        return lambda logits: activate(logits, default)
    kind = type(wanted)
    named = _TORCH.get(kind.__name__) if kind.__module__.partition(".")[0] == "torch" else wanted
    for name in get_args(Activation):
        if name == named:
            return lambda logits: activate(logits, name)
    if kind.__module__.partition(".")[0] == "torch" or not callable(wanted):
        raise InputError(
            f"activation_fn: expected one of {get_args(Activation)} or a function over numpy arrays, found {wanted!r}."
        )
    return wanted
