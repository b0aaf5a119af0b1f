"""What a checkpoint's files say about it, without loading a weight: read by `add` and `fetch`, refused when unsafe.

Only safetensors are read, no code of a repo is run, and nothing is guessed that would change a score.
"""

from stages.registry.checkpoint.declared_activation import resolve_activation
from stages.registry.checkpoint.inspection import Checkpoint, check_tokenizer, inspect
from stages.registry.checkpoint.needed_files import may_be_needed, needed_files

__all__ = ["Checkpoint", "check_tokenizer", "inspect", "may_be_needed", "needed_files", "resolve_activation"]
