"""The checkpoint as a torch model: what the reference scores with and what the exporters trace."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.errors import SourceError, first_line

if TYPE_CHECKING:
    import torch


def load_model(folder: Path, dtype: torch.dtype | None = None) -> Any:
    """A transformers model in evaluation mode, eager attention, `dtype` (float32 by default, whatever is stored).

    Raises:
        SourceError: a weight is missing, so that transformers would make one up, or of another shape.
    """
    import torch
    from transformers import AutoModelForSequenceClassification

    try:
        model, loading = AutoModelForSequenceClassification.from_pretrained(
            folder,
            dtype=dtype or torch.float32,
            attn_implementation="eager",
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise SourceError(f"transformers cannot load the checkpoint: {first_line(error)}") from None
    missing = sorted(loading["missing_keys"]) + sorted(str(key) for key in loading["mismatched_keys"])
    if missing:
        raise SourceError(
            f"The checkpoint lacks {len(missing)} weight(s) of its architecture: {', '.join(missing[:4])}"
            f"{', …' if len(missing) > 4 else ''}. transformers would fill them with random numbers. "
            "Save the whole classifier with `model.save_pretrained(folder)`."
        )
    return model.eval()


def load_tokenizer(folder: Path) -> Any:
    """transformers' fast tokenizer, which shares no code with the runtime's: parity checks one against the other."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(  # type: ignore[no-untyped-call]
        folder, use_fast=True, trust_remote_code=False
    )


def torch_logits(model: Any, tokenizer: Any, pairs: list[tuple[str, str]], max_length: int, batch_size: int) -> Any:
    """Logits as a float32 numpy array [pairs, labels], in input order; batches of similar length."""
    import numpy as np
    import torch

    order = sorted(range(len(pairs)), key=lambda i: -len(pairs[i][0]) - len(pairs[i][1]))
    rows: list[Any] = [None] * len(pairs)
    with torch.inference_mode():
        for start in range(0, len(order), batch_size):
            batch = order[start : start + batch_size]
            encoded = tokenizer(
                [pairs[i][0] for i in batch],
                [pairs[i][1] for i in batch],
                padding=True,
                truncation="longest_first",
                max_length=max_length,
                return_tensors="pt",
            )
            logits = model(**encoded).logits.float().numpy()
            for place, i in enumerate(batch):
                rows[i] = logits[place]
    return np.stack(rows)
