"""Whether an entry's lock is there and its local files are those of the lock."""

from pathlib import Path

from artificer.manifest import describe_file
from stages.core.errors import RegistryError
from stages.registry import model_list
from stages.registry.model_list import ModelEntry


def pin_state(slug: str, entry: ModelEntry) -> str:
    """`yes`, or what keeps the entry from being built. Local files are compared with the lock byte by byte."""
    try:
        lock = model_list.load_lock(slug, entry)
    except RegistryError:
        return "is not pinned"
    if entry.source.path:
        root = Path(entry.source.path)
        for locked in lock.files:
            if not (root / locked.path).is_file():
                return f"lacks {locked.path}"
            if describe_file(root, locked.path) != locked:
                return f"differs from its lock in {locked.path}"
    return "yes"
