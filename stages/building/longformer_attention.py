"""Longformer's attention as products of whole matrices, for the exporters.

transformers cuts the sequence into windows, asks the values of the mask which tokens are global, and indexes with the
answer: torch.export cannot follow. In a classifier the first token alone is global, so the same attention is that of
full matrices with a band (docs/decisions/0022). It takes memory by the square of the length, as any other encoder.
"""

import math
from typing import Any

_MODULE = "transformers.models.longformer.modeling_longformer"


def attention(self: Any, hidden_states: Any, attention_mask: Any, **_: Any) -> tuple[Any]:
    """`LongformerSelfAttention.forward`.

    Args:
        hidden_states: `[batch, length, width]`.
        attention_mask: `[batch, length]`; below 0 padding, above 0 the global token, else 0.
    """
    import torch

    batch, length, width = hidden_states.shape
    lowest = torch.finfo(hidden_states.dtype).min

    def heads(layer: Any, states: Any) -> Any:
        return layer(states).view(batch, -1, self.num_heads, self.head_dim).transpose(1, 2)

    def weighted(scores: Any, allowed: Any, values: Any) -> Any:
        shares = torch.softmax(scores.masked_fill(~allowed, lowest), dim=-1)
        return (shares @ values).transpose(1, 2).reshape(batch, -1, width)

    padding, is_global = attention_mask < 0, attention_mask > 0
    scale = math.sqrt(self.head_dim)
    place = torch.arange(length, device=hidden_states.device)
    near = (place[:, None] - place[None, :]).abs() <= self.one_sided_attn_window_size
    allowed = (near[None] & ~padding[:, None, :]) | is_global[:, None, :]
    scores = heads(self.query, hidden_states) / scale @ heads(self.key, hidden_states).transpose(2, 3)
    local = weighted(scores, allowed[:, None], heads(self.value, hidden_states))
    local = local.masked_fill(padding[:, :, None], 0.0)
    first = heads(self.query_global, hidden_states[:, :1]) / scale
    scores = first @ heads(self.key_global, hidden_states).transpose(2, 3)
    whole = weighted(scores, ~padding[:, None, None, :], heads(self.value_global, hidden_states))
    return (torch.cat([whole, local[:, 1:]], dim=1),)


def encoder(self: Any, hidden_states: Any, attention_mask: Any, **_: Any) -> Any:
    """`LongformerEncoder.forward` without padding to undo, and without looking into the mask."""
    from transformers.models.longformer.modeling_longformer import LongformerBaseModelOutput

    for layer in self.layer:
        hidden_states = layer(hidden_states, attention_mask=attention_mask)[0]
    return LongformerBaseModelOutput(last_hidden_state=hidden_states)


def no_padding(
    _: Any,
    input_ids: Any,
    attention_mask: Any,
    token_type_ids: Any,
    position_ids: Any,
    inputs_embeds: Any,
    **__: Any,
) -> tuple[Any, ...]:
    """`LongformerModel._pad_to_window_size`: whole matrices need no multiple of a window."""
    return 0, input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds


REPLACEMENTS = (
    (_MODULE, "LongformerSelfAttention.forward", attention),
    (_MODULE, "LongformerEncoder.forward", encoder),
    (_MODULE, "LongformerModel._pad_to_window_size", no_padding),
)
