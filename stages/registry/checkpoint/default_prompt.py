"""The text that sentence-transformers puts before the first text of each pair unless a call names another."""

from pathlib import Path

from stages.registry.checkpoint.json_objects import Config

SENTENCE_TRANSFORMERS_CONFIG = "config_sentence_transformers.json"


def default_prompt(folder: Path) -> str:
    """The prompt that `default_prompt_name` names, empty when there is none. Raises SourceError for another name."""
    config = Config.read_optional(folder / SENTENCE_TRANSFORMERS_CONFIG)
    name = config.text("default_prompt_name")
    if name is None:
        return ""
    prompts = config.get("prompts") or {}
    prompt = prompts.get(name) if isinstance(prompts, dict) else None
    if not isinstance(prompt, str):
        raise config.unexpected("default_prompt_name", "the name of one of `prompts`", name)
    return prompt
