"""From logits to scores; and what `activation_fn` may be: a name, one of torch's modules, or a function over logits."""

from collections.abc import Callable
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from artificer.errors import InputError
from artificer.manifest import Activation

Activator = Callable[[NDArray[np.float32]], NDArray[Any]]

_TORCH: dict[str, Activation] = {"Identity": "identity", "Sigmoid": "sigmoid", "Softmax": "softmax"}


def activate(logits: NDArray[np.float32], activation: Activation) -> NDArray[np.float32]:
    """Scores of logits `[..., labels]`, same shape; never overflows.

    `sigmoid` is per label, `softmax` over the last axis, `identity` returns the logits.
    """
    if activation == "identity":
        return logits
    if activation == "sigmoid":
        small = np.exp(-np.abs(logits))
        return np.where(logits >= 0, 1 / (1 + small), small / (1 + small)).astype(np.float32)
    if logits.size == 0:
        return logits
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    scores: NDArray[np.float32] = shifted / shifted.sum(axis=-1, keepdims=True)
    return scores


def activator(wanted: Activator | str | None, default: Activation, apply_softmax: bool) -> Activator:
    """A function from logits `[n, labels]` to scores of that shape.

    Args:
        wanted: None for the model's own activation; `identity`, `sigmoid`, `softmax`; an instance of torch's module of
            that name (recognised without torch); or the caller's function over numpy arrays.
        apply_softmax: softmax over the labels afterwards, as CrossEncoder does it for several labels.

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
