"""What the installed transformers can load, read from its tables without importing it, which takes seconds.

If transformers is not installed, these checks are skipped; a stage that needs it says so.
"""

import re
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from stages.core.errors import SourceError
from stages.registry.checkpoint.json_objects import Config

GENERIC_CLASS = "TokenizersBackend"
"""The class of transformers 5 for any tokenizer.json; it also stands in for classes that are unknown there."""
_REMEDIES = {
    GENERIC_CLASS: "transformers 5 saved it. transformers 4 does the same with "
    '`"tokenizer_class": "PreTrainedTokenizerFast", "model_input_names": ["input_ids", "attention_mask"]` in that file.'
}
_MODELS, _CONFIGS, _TOKENIZERS = "modeling_auto.py", "configuration_auto.py", "tokenization_auto.py"


def classifier_of(model_type: str) -> str | None:
    """The …ForSequenceClassification of a model type, or None where there is none or transformers is not installed."""
    found = re.search(rf'\("{re.escape(model_type)}", "(\w+ForSequenceClassification)"\)', _table(_MODELS) or "")
    return found.group(1) if found else None


def check_model_type(config: Config) -> None:
    """Raise SourceError when transformers does not know the type of the model."""
    model_type = config.text("model_type")
    if not model_type:
        raise config.unexpected("model_type", "the type of the model, like bert", model_type)
    table = _table(_CONFIGS)
    if table is not None and f'("{model_type}",' not in table:
        raise SourceError(
            f"{config.path}: model_type: {model_type} is not known to transformers {version('transformers')}, which is "
            "installed here. Install a newer release. A type that the checkpoint's own code defines is not supported: "
            "that code is never run."
        )


def has_generic_class() -> bool:
    """Whether the installed transformers has a class for every tokenizer.json."""
    return f'"{GENERIC_CLASS}"' in (_table(_TOKENIZERS) or "")


def check_tokenizer_class(tokenizer_config: Config) -> None:
    """Raise SourceError when transformers has no class of the name that the tokenizer was saved with."""
    name, table = tokenizer_config.text("tokenizer_class"), _table(_TOKENIZERS)
    if not name or table is None or has_generic_class():
        return
    base = name.removesuffix("Fast")
    # Class names stand in the table quoted; the generic one of transformers 4 is imported there by name.
    if not re.search(rf"\b{re.escape(base)}(Fast)?\b", table):
        raise SourceError(
            f"{tokenizer_config.path}: tokenizer_class: {name} does not exist in transformers {version('transformers')}"
            f", which is installed here. {_REMEDIES.get(name, 'Save the tokenizer with a class of that release.')}"
        )


def tokenizer_class_of(config: Config, tokenizer_config: Config) -> str | None:
    """The class of transformers that reads the tokenizer, without `Tokenizer` and `Fast`: that of the model's type if
    no other is named. None: a generic one, or transformers is not installed."""
    found = re.search(rf'\("{re.escape(config.text("model_type") or "")}", "(\w+)"', _table(_TOKENIZERS) or "")
    own = found and _short(found.group(1))
    named = _short(tokenizer_config.text("tokenizer_class") or "")
    return own if own and named in ("", own) else None


def _short(class_name: str) -> str:
    return class_name.removesuffix("Fast").removesuffix("Tokenizer")


@cache
def _table(name: str) -> str | None:
    """The source of one of transformers' tables; None where transformers is not installed."""
    spec = find_spec("transformers")
    for place in (spec and spec.submodule_search_locations) or ():
        path = Path(place, "models", "auto", name)
        if path.is_file():
            return path.read_text(encoding="utf-8")
    return None
