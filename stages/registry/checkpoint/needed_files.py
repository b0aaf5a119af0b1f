"""Which files of a folder or repo make up a checkpoint: the names alone decide."""

import re
from collections.abc import Iterable

from stages.core.errors import SourceError

WEIGHTS = "model.safetensors"
WEIGHTS_INDEX = "model.safetensors.index.json"
CONFIG, TOKENIZER = "config.json", "tokenizer.json"
# From each of these transformers makes a tokenizer, where there is no tokenizer.json.
_VOCABULARIES = ("sentencepiece.bpe.model", "spiece.model", "spm.model", "tokenizer.model", "vocab.json", "vocab.txt")
# What transformers, sentence-transformers and the tokenizers library read beside config and weights.
OPTIONAL_FILES = (
    "added_tokens.json",
    "config_sentence_transformers.json",
    "merges.txt",
    "modules.json",
    "sentence_bert_config.json",
    "sentencepiece.bpe.model",
    "special_tokens_map.json",
    "spiece.model",
    "spm.model",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "vocab.json",
    "vocab.txt",
)
MODULES = "modules.json"
# What sentence-transformers writes of each part behind the transformer, in a folder of its own.
_PART_FILE = re.compile(r"\d+_[A-Za-z]\w*/(config\.json|model\.safetensors)")
PICKLE_SUFFIXES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")


def needed_files(names: Iterable[str]) -> tuple[str, ...]:
    """The files to pin out of all names of a folder or repo, sorted. Raises SourceError for an unsafe checkpoint."""
    names = set(names)
    refuse_two_sets(names)
    shards = {name for name in names if _is_shard(name)}
    if WEIGHTS in names:
        weights = {WEIGHTS}
    elif WEIGHTS_INDEX in names and shards:
        weights = {WEIGHTS_INDEX} | shards
    else:
        raise SourceError(
            f"expected {WEIGHTS} (or {WEIGHTS_INDEX} and its shards), found {_instead_of_weights(names)} "
            "Save it with `model.save_pretrained(folder, safe_serialization=True)`."
        )
    if CONFIG not in names:
        raise SourceError(f"{CONFIG} missing: expected a model folder, as `model.save_pretrained(folder)` writes it.")
    if not names & {TOKENIZER, *_VOCABULARIES}:
        raise SourceError(
            f"{TOKENIZER} missing: expected it, or a vocabulary that transformers converts "
            f"({', '.join(_VOCABULARIES)}). Save the tokenizer with `tokenizer.save_pretrained(folder)`."
        )
    parts = {name for name in names if MODULES in names and _PART_FILE.fullmatch(name)}
    return tuple(sorted(weights | parts | {CONFIG} | (set(OPTIONAL_FILES) & names)))


def may_be_needed(name: str) -> bool:
    """Whether a path can be a file of the checkpoint: other folders hold other formats and other checkpoints."""
    return "/" not in name or _PART_FILE.fullmatch(name) is not None


def refuse_two_sets(names: Iterable[str]) -> None:
    """Raise SourceError when the weights are there as one file and as shards: one set may be older than the other."""
    names = set(names)
    if WEIGHTS in names and (others := sorted(name for name in names if name == WEIGHTS_INDEX or _is_shard(name))):
        raise SourceError(
            f"expected one set of weights, found {WEIGHTS} and beside it {', '.join(others[:3])}"
            f"{', …' if len(others) > 3 else ''}. Delete the set that is not wanted."
        )


def _is_shard(name: str) -> bool:
    """As `save_pretrained` names them: `model-fp16.safetensors` and the like are other files."""
    return re.fullmatch(r"model-\d{5}-of-\d{5}\.safetensors", name) is not None


def _instead_of_weights(names: set[str]) -> str:
    if pickles := sorted(name for name in names if name.endswith(PICKLE_SUFFIXES) and "/" not in name):
        return f"only pickled weights ({', '.join(pickles)}), which can run code."
    if "adapter_model.safetensors" in names:
        return "an adapter without its base model. Merge it first: `model = model.merge_and_unload()`."
    if WEIGHTS_INDEX in names:
        return "no weights: the index is there without its shards."
    if "modules.json" in names and "config.json" not in names:
        return "modules.json, which puts the transformer into another folder."
    return "no weights."
