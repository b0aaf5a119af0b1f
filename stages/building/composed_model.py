"""A model of several parts as one torch module: an encoder of transformers, and sentence-transformers' parts after it.

`modules.json` names the parts; `add` has checked that each is known.
"""

from __future__ import annotations

import inspect
import json
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.building.pretrained import from_folder

if TYPE_CHECKING:
    import torch

_MODULES = "modules.json"
# Of an encoder: it is loaded by its own class, which some types give a pooler that no part reads.
_UNUSED = "pooler."


def is_composed(folder: Path) -> bool:
    """Whether the checkpoint has parts behind its transformer."""
    return len(_modules(folder)) > 1


def load_composed(folder: Path, dtype: torch.dtype) -> tuple[Any, list[str]]:
    """The model, which takes what the encoder takes and returns logits; and the names of weights that are missing.

    Raises:
        Exception: whatever the two libraries raise for a part that they cannot load.
    """
    import torch
    import transformers

    encoder, lacking = from_folder(transformers.AutoModel, folder, dtype)
    missing = [name for name in lacking if not name.startswith(_UNUSED)]
    parts = [_load_part(folder, each).to(dtype) for each in _modules(folder)[1:]]

    class Composed(torch.nn.Module):
        """Token ids in, logits out."""

        def __init__(self) -> None:
            super().__init__()
            self.encoder, self.parts, self.config = encoder, torch.nn.ModuleList(parts), encoder.config

        @property
        def device(self) -> torch.device:
            """Where the encoder lies."""
            place: torch.device = next(self.encoder.parameters()).device
            return place

        def scores(self, **given: Any) -> Any:
            """Logits `[texts, scores]` of padded rows."""
            features = {**given, "token_embeddings": self.encoder(**given).last_hidden_state}
            for part in self.parts:
                features = part(features)
            return transformers.modeling_outputs.SequenceClassifierOutput(logits=features["scores"])

    # The signature tells callers what the model takes.
    class WithTypes(Composed):
        def forward(self, input_ids: Any, attention_mask: Any, token_type_ids: Any = None) -> Any:
            return self.scores(input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids)

    class WithoutTypes(Composed):
        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            return self.scores(input_ids=input_ids, attention_mask=attention_mask)

    takes_types = "token_type_ids" in inspect.signature(encoder.forward).parameters
    return (WithTypes if takes_types else WithoutTypes)(), missing


def _load_part(folder: Path, module: dict[str, Any]) -> Any:
    place, _, name = module["type"].rpartition(".")
    if not place.startswith("sentence_transformers."):
        raise ValueError(f"{module['type']} is not a part of sentence-transformers")
    part = getattr(import_module(place), name)
    return part.load(str(folder), subfolder=module["path"], local_files_only=True, trust_remote_code=False)


def _modules(folder: Path) -> list[dict[str, Any]]:
    path = folder / _MODULES
    found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    return found
