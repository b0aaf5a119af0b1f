"""What the exporters trace in place of functions of transformers that a graph of any batch and length cannot hold.

Each replacement computes the same for a classifier: some branch on what a text holds, some drop a dimension of 1 that
the traced example does not have.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

from stages.building import (
    decayed_attention,
    fourier_transform,
    longformer_attention,
    real_rotation,
    self_attention,
)


def shift_right(input_ids: Any, pad_token_id: int) -> Any:
    """mBART's and PLBART's `shift_tokens_right`: the last token that is not padding, then all others but the last.

    Theirs also squeezes the batch away where it is 1. `[batch, length]` to `[batch, length]`.
    """
    import torch

    last = (input_ids.ne(pad_token_id).sum(dim=1) - 1).unsqueeze(-1)
    return torch.cat([input_ids.gather(1, last), input_ids[:, :-1]], dim=1)


# Module, attribute path, and what stands there while a model is traced.
REPLACEMENTS: tuple[tuple[str, str, Callable[..., Any]], ...] = (
    ("transformers.models.mbart.modeling_mbart", "shift_tokens_right", shift_right),
    ("transformers.models.plbart.modeling_plbart", "shift_tokens_right", shift_right),
    *decayed_attention.REPLACEMENTS,
    *fourier_transform.REPLACEMENTS,
    *longformer_attention.REPLACEMENTS,
    *real_rotation.REPLACEMENTS,
)


@contextmanager
def for_tracing() -> Iterator[None]:
    """While it lasts, the functions above are replaced, where a loaded model has imported their modules."""
    with ExitStack() as stack:
        stack.enter_context(self_attention.without_branches())
        for module, name, replacement in REPLACEMENTS:
            if module in sys.modules:
                stack.enter_context(mock.patch(f"{module}.{name}", replacement))
        yield
