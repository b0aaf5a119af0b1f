"""A model of transformers from its folder, and which of its weights the folder lacks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def from_folder(kind: Any, folder: Path, dtype: torch.dtype) -> tuple[Any, list[str]]:
    """A model of the class `kind`, with eager attention, by safetensors alone and without code of the folder; and the
    names of weights that are missing or have another shape.

    Raises:
        Exception: whatever transformers raises for a checkpoint that it cannot load.
    """
    model, loading = kind.from_pretrained(
        folder,
        dtype=dtype,
        attn_implementation="eager",
        use_safetensors=True,
        trust_remote_code=False,
        output_loading_info=True,
    )
    return model, sorted(loading["missing_keys"]) + sorted(str(key) for key in loading["mismatched_keys"])
