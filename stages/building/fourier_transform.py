"""FNet's Fourier transform as products of matrices, for the exporters: torch.onnx writes operators of complex numbers,
which OpenVINO converts wrongly."""

from typing import Any


def transform(_: Any, hidden_states: Any) -> tuple[Any]:
    """`FNetBasicFourierTransform.forward`: the real part of the transform of `[batch, length, width]` over length and
    width. With C and S the cosines and sines of both, that is C x C - S x S."""
    rows, columns = (_cosines_and_sines(hidden_states, dimension) for dimension in (1, 2))
    return (rows[0] @ hidden_states @ columns[0] - rows[1] @ hidden_states @ columns[1],)


def _cosines_and_sines(like: Any, dimension: int) -> tuple[Any, Any]:
    """The matrices `[n, n]` of cos and sin of 2 pi j k / n. j k is taken modulo n first, as long as it is a whole
    number: a float32 angle of thousands of turns would have lost its digits."""
    import torch

    places = torch.arange(like.shape[dimension], device=like.device)
    size = places[-1:] + 1  # a tensor: torch.onnx takes no symbol as an operand here
    turns = (places[:, None] * places[None, :]).remainder(size).to(like.dtype) / size.to(like.dtype)
    angles = 2 * torch.pi * turns
    return torch.cos(angles), torch.sin(angles)


REPLACEMENTS = (("transformers.models.fnet.modeling_fnet", "FNetBasicFourierTransform.forward", transform),)
