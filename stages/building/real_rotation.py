"""DeepSeek-V2's rotary positions with real numbers, for the exporters: torch.onnx has no operators for complex ones."""

from typing import Any

_MODULE = "transformers.models.deepseek_v2.modeling_deepseek_v2"


def turns(self: Any, x: Any, position_ids: Any, *_: Any, **__: Any) -> Any:
    """`DeepseekV2RotaryEmbedding.forward`: cosines and sines `[batch, length, pairs, 2]` instead of complex numbers."""
    import torch

    angles = position_ids[:, :, None].to(self.inv_freq.dtype) * self.inv_freq.to(x.device)
    return torch.stack([torch.cos(angles), torch.sin(angles)], dim=-1) * self.attention_scaling


def rotate(xq: Any, xk: Any, freqs_cis: Any) -> tuple[Any, Any]:
    """`apply_rotary_emb`: the product of neighbours `(a, b)` as `a + bi` with `cos + i sin`."""
    return _rotate(xq, freqs_cis), _rotate(xk, freqs_cis)


def _rotate(states: Any, found: Any) -> Any:
    import torch

    cosines, sines = found[:, None, :, :, 0], found[:, None, :, :, 1]
    first, second = states[..., 0::2].float(), states[..., 1::2].float()
    turned = torch.stack([first * cosines - second * sines, first * sines + second * cosines], dim=-1)
    return turned.flatten(3).type_as(states)


REPLACEMENTS = (
    (_MODULE, "DeepseekV2RotaryEmbedding.forward", turns),
    (_MODULE, "apply_rotary_emb", rotate),
)
