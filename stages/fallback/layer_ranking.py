"""Which MatMuls suffer most from int8, found by measuring: the float graph runs a few pairs, and each MatMul with a
constant weight is computed once more from its inputs rounded to int8. One pass for all of them, and no quantised model.
Each toolchain's `sensitivity` module runs its graphs; the arithmetic is here.

The measure is local (relative error of the product), as in onnxruntime's qdq_loss_debug. It does not see what later
layers do with the error, but it finds the usual cause: channels that are far larger than the others.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from stages.core.errors import BuildError, first_line

PAIRS = 8  # that the graph runs

Array = NDArray[np.float32]
Batch = dict[str, NDArray[np.int64]]


def product_error(left: Array, weight: Array) -> float:
    """Relative error of `left @ weight`, [rows, inputs] by [inputs, outputs], with `left` rounded to 256 steps over its
    whole range and `weight` to 255 per column: dynamic int8, per channel."""
    exact = left @ weight
    low, high = min(float(left.min()), 0.0), max(float(left.max()), 0.0)
    step = (high - low) / 255 or 1.0
    rounded = np.round((left - low) / step) * step + low
    scale = np.maximum(np.abs(weight).max(axis=0), 1e-12) / 127
    rounded_weight = np.round(weight / scale) * scale
    norm = float(np.linalg.norm(exact))
    return float(np.linalg.norm(rounded @ rounded_weight - exact)) / norm if norm else 0.0


def or_nothing(ranking: Callable[[], list[str]]) -> list[str]:
    """The ranking, or an empty one where it fails: other recipes do not need it."""
    try:
        return ranking()
    except BuildError:
        raise
    except Exception as error:  # a runtime may refuse a graph in any way it likes, and a child may be killed
        print(f"cannot rank the layers by sensitivity: {first_line(error)}", flush=True)
        return []


def steps(names: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """How many to leave out: an eighth, a quarter, a half; each with the names, sorted."""
    for share in (8, 4, 2):
        count = max(1, len(names) // share)
        if count < len(names):
            yield count, sorted(names[:count])


def most_sensitive_first(errors: dict[str, float]) -> list[str]:
    """Names by error; ties, and differences that a last bit could reverse, go by name."""
    return sorted(errors, key=lambda name: (-float(f"{errors[name]:.3g}"), name))
