"""The checkpoint as a torch model: what the reference scores with and what the exporters trace."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.building.composed_model import is_composed, load_composed
from stages.building.pretrained import from_folder
from stages.core import environment
from stages.core.batch_rows import rows_at_once
from stages.core.errors import SourceError, first_line

if TYPE_CHECKING:
    import torch


def load_model(folder: Path, model_class: str, dtype: torch.dtype | None = None) -> Any:
    """A model of that class of transformers in evaluation mode, with eager attention, in `dtype` (default: float32); or
    the composition that `modules.json` names.

    Raises:
        SourceError: a weight is missing, so that transformers would fill it with random numbers, or has another shape.
    """
    import torch

    with environment.hidden("sklearn"):
        import transformers

        hasattr(transformers, model_class)  # imports its module now
    dtype = dtype or torch.float32
    try:
        if is_composed(folder):
            model, missing = load_composed(folder, dtype)
        else:
            model, missing = from_folder(getattr(transformers, model_class), folder, dtype)
    except SourceError:
        raise
    except Exception as error:  # its configuration reaches every part of the library
        raise SourceError(f"transformers cannot load the checkpoint: {first_line(error)}") from None
    if missing:
        raise SourceError(
            f"The checkpoint lacks {len(missing)} weight(s) of its architecture: {', '.join(missing[:4])}"
            f"{', …' if len(missing) > 4 else ''}. transformers would fill them with random numbers. "
            "Save the whole classifier with `model.save_pretrained(folder)`."
        )
    return model.eval()


def load_tokenizer(folder: Path) -> Any:
    """transformers' fast tokenizer, which shares no code with the runtime's: parity checks one against the other.

    Raises:
        SourceError: transformers cannot load it.
    """
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder, use_fast=True, trust_remote_code=False)
    except Exception as error:  # its configuration reaches every part of the library
        raise SourceError(f"transformers cannot load the tokenizer: {first_line(error)}") from None


def torch_logits(model: Any, tokenizer: Any, pairs: list[tuple[str, str]], max_length: int, batch_size: int) -> Any:
    """Logits as a float32 numpy array [pairs, labels], in input order; batches of similar length, at most `batch_size`
    pairs and no more than `rows_at_once`. Computed where the model lies. What the tokenizer returns and the model does
    not take is dropped, as sentence-transformers does: token types for DistilBERT and MPNet.

    Raises:
        SourceError: the model cannot compute what the tokenizer returns.
    """
    import numpy as np
    import torch

    order = sorted(range(len(pairs)), key=lambda i: -len(pairs[i][0]) - len(pairs[i][1]))
    rows: list[Any] = [None] * len(pairs)
    taken = inspect.signature(model.forward).parameters
    waiting = [order[start : start + batch_size] for start in range(0, len(order), batch_size)][::-1]
    with torch.inference_mode():
        while waiting:
            batch = waiting.pop()
            encoded = tokenizer(
                [pairs[i][0] for i in batch],
                [pairs[i][1] for i in batch],
                padding=True,
                truncation="longest_first",
                max_length=max_length,
                return_tensors="pt",
            ).to(model.device)
            most = rows_at_once(encoded["input_ids"].shape[1], batch_size)
            if len(batch) > most:
                waiting += [batch[start : start + most] for start in range(0, len(batch), most)][::-1]
                continue
            given = {name: value for name, value in encoded.items() if name in taken}
            try:
                logits = model(**given).logits.float().cpu().numpy()
            except (IndexError, RuntimeError, TypeError, ValueError) as error:
                raise SourceError(f"torch cannot run the checkpoint: {first_line(error)}") from None
            for place, i in enumerate(batch):
                rows[i] = logits[place]
    return np.stack(rows)
