"""Code that a checkpoint would make transformers run."""

from typing import Any

from stages.core.errors import SourceError
from stages.registry.checkpoint.json_objects import Config


def refuse(config: Config) -> None:
    """Raise SourceError when the configuration, or a part of it, asks for code."""
    _refuse(config, config.values)


def _refuse(config: Config, values: dict[str, Any]) -> None:
    path = config.path
    if values.get("auto_map"):
        raise SourceError(
            f"{path}: auto_map: the checkpoint brings its own code ({values['auto_map']}), which is never run. "
            "Use an architecture that transformers knows."
        )
    # CVE-2026-4372: an attention or kernel implementation named like a repo is fetched and run by transformers 4.57.
    for key, value in values.items():
        if ("attn_implementation" in key or "kernel" in key) and isinstance(value, str | dict) and "/" in str(value):
            raise SourceError(f"{path}: {key}: names code to download ({value!r}), which is never run. Remove the key.")
        if isinstance(value, dict):
            _refuse(config, value)  # transformers hands a sub-configuration the same keys
