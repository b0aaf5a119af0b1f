"""MiniMax's linear attention as products of whole matrices, for the exporters.

transformers goes through a text in blocks, in a loop whose length a graph would keep. Between any two tokens the weight
is the same power of the distance, inside a block and between blocks, so one matrix holds them all.
"""

from typing import Any

_MODULE = "transformers.models.minimax.modeling_minimax"


def attention(self: Any, hidden_states: Any, attention_mask: Any = None, **_: Any) -> tuple[Any, None]:
    """`MiniMaxLightningAttention.forward` without a cache.

    Args:
        hidden_states: `[batch, length, width]`.
        attention_mask: `[batch, length]`, 0 for padding.
    """
    import torch

    batch, length, _ = hidden_states.shape
    mixed = self.act_fn(self.qkv_proj(hidden_states)).reshape(batch, length, self.num_attention_heads, -1)
    query, key, value = (part.transpose(1, 2) for part in mixed.split(self.head_dim, dim=3))
    if attention_mask is not None:
        value = value * attention_mask[:, None, :, None].to(value.dtype)
    places = torch.arange(length, device=hidden_states.device)
    distance = places[:, None] - places[None, :]
    decay = torch.exp(-self.slope_rate * distance.clamp(min=0)) * (distance >= 0)
    found = (query @ key.transpose(-1, -2) * decay) @ value
    found = self.norm(found.transpose(1, 2).reshape(batch, length, -1))
    return self.out_proj(torch.sigmoid(self.output_gate(hidden_states)) * found), None


REPLACEMENTS = ((_MODULE, "MiniMaxLightningAttention.forward", attention),)
