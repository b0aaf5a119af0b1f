"""Writes what is published of a checkpoint: its files as they came, but for those that say something else than
CrossEncoder does (docs/decisions/0036)."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers.normalizers import Lowercase, Sequence

from artificer.manifest import canonical_json
from stages.core import files, paths
from stages.core.errors import SourceError, first_line
from stages.peer.cross_encoder import Pair, Tokens, takes_types, token_rows
from stages.peer.effective_tokenizer import FILE, check_vocabulary, same_parts, tokenizer_info, tokenizer_json
from stages.peer.published_modules import describe_as_classifier
from stages.peer.token_parity import check_tokens
from stages.records.model_spec import ModelSpec
from stages.records.published_files import PublishedFiles

# What a published folder needs of a source: everything but the torch weights.
_WEIGHT_SUFFIXES = (".safetensors", ".safetensors.index.json")
_NO_FILE = "the checkpoint has none: transformers converted its vocabulary"
_OTHER = "transformers changes what is in the checkpoint's file as it loads it"
_NO_TYPES = "transformers' tokenizer returns no token types, so that the model takes zeros"
_CONFIG = "tokenizer_config.json"
# transformers 5 writes the first name, which transformers 4 does not know. Both know the second, for the same class.
_CLASS_OF_5, _CLASS_OF_BOTH = "TokenizersBackend", "PreTrainedTokenizerFast"
_NO_CLASS = f"transformers 4 has no class {_CLASS_OF_5}; in both versions it is {_CLASS_OF_BOTH}"
_REMEDY = "Tell the maintainers of Artificer which checkpoint it is."


def write_published(spec: ModelSpec, model: Any, tokens: Mapping[Pair, Tokens]) -> PublishedFiles:
    """Write the folder and its record; `tokens` are CrossEncoder's own of the pairs that are compared.

    Raises:
        SourceError: the runtime would make other tokens of a pair than CrossEncoder, with any file.
    """
    where, source = spec.source.location, paths.source(spec.slug)
    info = tokenizer_info(model.tokenizer, spec.prompt, where, padded=spec.padded)
    with files.staged_folder(paths.published(spec.slug)) as out:
        folder = out / paths.published_files(spec.slug).name
        folder.mkdir()
        for entry in spec.source.files:
            if "/" not in entry.path and not entry.path.endswith(_WEIGHT_SUFFIXES):
                shutil.copyfile(source / entry.path, folder / entry.path)
        rewritten = describe_as_classifier(spec, folder)
        if (reason := _write_tokenizer(model, folder / FILE, where)) is not None:
            rewritten[FILE] = reason
        if _name_the_class_for_both(folder / _CONFIG):
            rewritten[_CONFIG] = _NO_CLASS
        check_tokens(spec, info, folder / FILE, tokens, _REMEDY)
        if rewritten.keys() & {FILE, _CONFIG}:
            _check_again(spec, folder, model, tokens)
        found = PublishedFiles(tokenizer=info, files=files.describe_folder(folder), rewritten=rewritten)
        (out / paths.published_record(spec.slug).name).write_bytes(canonical_json(found))
    return found


def _write_tokenizer(model: Any, target: Path, where: str) -> str | None:
    """Leave the file as it came where it says what transformers does; else replace it, and say why."""
    no_types = takes_types(model) and "token_type_ids" not in model.tokenizer.model_input_names
    made = tokenizer_json(model.tokenizer, where, without_types=no_types)
    came = target.read_bytes() if target.exists() else None
    if came is not None and same_parts(came, made):
        return None
    if came is None:
        check_vocabulary(model.tokenizer, target.parent, where)
    target.write_bytes(made)
    if came is None:
        return _NO_FILE
    return _NO_TYPES if no_types and same_parts(came, tokenizer_json(model.tokenizer, where)) else _OTHER


def _name_the_class_for_both(config: Path) -> bool:
    """Replace a class that transformers 4 does not know; whether there was one."""
    if not config.exists():
        return False
    content = json.loads(config.read_bytes())
    if content.get("tokenizer_class") != _CLASS_OF_5:
        return False
    content["tokenizer_class"] = _CLASS_OF_BOTH
    config.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    return True


def _check_again(spec: ModelSpec, folder: Path, model: Any, tokens: Mapping[Pair, Tokens]) -> None:
    """Raise SourceError when CrossEncoder would not make the same tokens with the files in `folder`."""
    from transformers import AutoTokenizer

    module, processor = model[0], model[0].processor
    try:
        loaded = AutoTokenizer.from_pretrained(folder, model_max_length=processor.model_max_length)
        if module.do_lower_case:  # sentence-transformers' own setting, which it applies after loading
            loaded.backend_tokenizer.normalizer = Sequence([Lowercase(), loaded.backend_tokenizer.normalizer])
        module.processor = loaded
        again = dict(zip(tokens, token_rows(model, list(tokens)), strict=True))
    except Exception as error:  # its configuration reaches every part of the library
        raise SourceError(
            f"{spec.source.location}: transformers cannot load the tokenizer that was made of it: {first_line(error)}"
        ) from None
    finally:
        module.processor = processor
    if other := [pair for pair, found in again.items() if found != tokens[pair]]:
        raise SourceError(
            f"{spec.source.location}: the tokenizer that was made of it gives other tokens when transformers loads it "
            f"again: {ascii(other[0])[:200]}. {_REMEDY}"
        )
