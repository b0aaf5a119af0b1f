"""What a checkpoint's files say about it, without loading a weight: read by `add` and `fetch`, refused when unsafe.

Only safetensors are read, no code of a repo is run, and nothing is guessed that would change a score.
"""

import json
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast, get_args

from msgspec import Struct

from artificer.manifest import Activation, TokenizerInfo
from stages.core.errors import SourceError, first_line

WEIGHTS = "model.safetensors"
WEIGHTS_INDEX = "model.safetensors.index.json"
REQUIRED_FILES = ("config.json", "tokenizer.json", "tokenizer_config.json")
# What transformers, sentence-transformers and the tokenizers library read beside config and weights.
OPTIONAL_FILES = (
    "added_tokens.json",
    "config_sentence_transformers.json",
    "merges.txt",
    "modules.json",
    "sentencepiece.bpe.model",
    "special_tokens_map.json",
    "spiece.model",
    "spm.model",
    "vocab.json",
    "vocab.txt",
)
PICKLE_SUFFIXES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
# Position ids of RoBERTa-style models start behind the padding id, so two entries of the table are not positions.
OFFSET_POSITIONS = (
    "roberta",
    "xlm-roberta",
    "xlm-roberta-xl",
    "camembert",
    "roberta-prelayernorm",
    "mpnet",
    "longformer",
)
ACTIVATION_CLASSES: dict[str, Activation] = {
    "torch.nn.modules.activation.Sigmoid": "sigmoid",
    "torch.nn.modules.activation.Softmax": "softmax",
    "torch.nn.modules.linear.Identity": "identity",
    "torch.nn.Sigmoid": "sigmoid",
    "torch.nn.Softmax": "softmax",
    "torch.nn.Identity": "identity",
}
# What transformers' pipeline applies to several labels by the kind of task that the checkpoint was trained for.
PROBLEM_TYPES: dict[str, Activation] = {
    "multi_label_classification": "sigmoid",
    "single_label_classification": "softmax",
    "regression": "identity",
}
CHOICES = (
    "`activation: sigmoid` (labels independent), `softmax` (exactly one applies) or `identity` (raw logits) in the "
    "entry, or --activation of `add`."
)
# First part of the names that transformers gives to the weights of a classifier head.
HEADS = ("classifier", "score", "classification_head", "logits_proj", "sequence_summary")
CLASSIFIER_ARCHITECTURE = "ForSequenceClassification"


class Checkpoint(Struct, frozen=True, kw_only=True):
    """What the files declare. `activation` is what they tell sentence-transformers, None when they tell nothing; it may
    be one that is unknown. `problem_activation` follows from the `problem_type`, for several labels."""

    architecture: str
    model_type: str
    labels: tuple[str, ...]
    activation: str | None
    problem_activation: Activation | None
    max_length: int
    tokenizer: TokenizerInfo
    parameters: int
    weight_dtype: str


def needed_files(names: Iterable[str]) -> tuple[str, ...]:
    """The files to pin out of all names of a folder or repo, sorted. Raises SourceError for an unsafe checkpoint."""
    names = set(names)
    shards = {name for name in names if name.startswith("model-") and name.endswith(".safetensors")}
    if WEIGHTS in names:
        weights = {WEIGHTS}
    elif WEIGHTS_INDEX in names and shards:
        weights = {WEIGHTS_INDEX} | shards
    else:
        pickles = sorted(name for name in names if name.endswith(PICKLE_SUFFIXES) and "/" not in name)
        found = f"only pickled weights ({', '.join(pickles)}), which can run code" if pickles else "no weights"
        raise SourceError(
            f"expected {WEIGHTS} (or {WEIGHTS_INDEX} and its shards), found {found}. "
            "Save it with `model.save_pretrained(folder, safe_serialization=True)`."
        )
    missing = [name for name in REQUIRED_FILES if name not in names]
    if missing:
        raise SourceError(
            f"{', '.join(missing)} missing: expected a model folder with a fast tokenizer "
            "(`AutoTokenizer.from_pretrained(…).save_pretrained(folder)` writes one)."
        )
    return tuple(sorted(weights | set(REQUIRED_FILES) | (set(OPTIONAL_FILES) & names)))


def inspect(folder: Path, name: str | None = None) -> Checkpoint:
    """Read a folder that holds `needed_files`; `name` is what messages call it. Raises SourceError for anything that is
    unsafe or unclear."""
    try:
        return _inspect(folder)
    except SourceError as error:
        raise SourceError(str(error).replace(str(folder), name or str(folder))) from None
    except (TypeError, ValueError, LookupError, AttributeError, OverflowError, RecursionError) as error:
        raise SourceError(f"{name or folder}: its configuration cannot be interpreted: {first_line(error)}.") from None


def _inspect(folder: Path) -> Checkpoint:
    config = _read_object(folder / "config.json")
    _refuse_code(config, folder / "config.json")
    tokenizer_config = _read_object(folder / "tokenizer_config.json")
    _refuse_code(tokenizer_config, folder / "tokenizer_config.json")
    architecture = next(iter(config.get("architectures") or ["none"]))
    if not architecture.endswith(CLASSIFIER_ARCHITECTURE):
        raise SourceError(
            f"{folder / 'config.json'}: architectures: expected a …{CLASSIFIER_ARCHITECTURE}, found {architecture}: "
            "the checkpoint has no classifier head to score with."
        )
    labels = _labels(config, folder)
    dtype, parameters = _weights(folder)
    return Checkpoint(
        architecture=architecture,
        model_type=str(config.get("model_type", "")),
        labels=labels,
        activation=_declared_activation(folder, config),
        problem_activation=PROBLEM_TYPES.get(str(config.get("problem_type"))) if len(labels) > 1 else None,
        max_length=_max_length(config, tokenizer_config),
        tokenizer=_tokenizer(folder, tokenizer_config),
        parameters=parameters,
        weight_dtype=dtype,
    )


def resolve_activation(
    declared: str | None,
    wanted: Activation | None,
    labels: int,
    where: str,
    by_problem: Activation | None = None,
) -> Activation:
    """The activation to apply, once: the entry's, else the checkpoint's, else sigmoid for a single label, else what its
    `problem_type` implies (`by_problem`).

    Sigmoid for one label is sentence-transformers' own default. For several it has none but raw logits: where
    problem_type does not tell sigmoid (independent labels) from softmax (one of them), the entry must say which.
    """
    if wanted is None and declared is not None and declared not in get_args(Activation):
        known = ", ".join(ACTIVATION_CLASSES)
        raise SourceError(
            f"{where}: the checkpoint declares {declared}; known are {known}. Say which applies: {CHOICES}"
        )
    activation = wanted or declared or ("sigmoid" if labels == 1 else by_problem)
    if activation is None:
        raise SourceError(
            f"{where}: the checkpoint has {labels} labels and declares no activation and no problem_type. Say which "
            f"applies: {CHOICES}"
        )
    if activation == "softmax" and labels == 1:
        raise SourceError(f"{where}: softmax over one label is always 1; expected sigmoid or identity.")
    return cast("Activation", activation)


def _refuse_code(config: dict[str, Any], path: Path) -> None:
    if config.get("auto_map"):
        raise SourceError(
            f"{path}: auto_map: the checkpoint brings its own code ({config['auto_map']}), which is never run. "
            "Use an architecture that transformers knows."
        )
    # CVE-2026-4372: an attention or kernel implementation named like a repo is fetched and run by transformers 4.57.
    for key, value in config.items():
        if ("attn_implementation" in key or "kernel" in key) and isinstance(value, str | dict) and "/" in str(value):
            raise SourceError(f"{path}: {key}: names code to download ({value!r}), which is never run. Remove the key.")
        if isinstance(value, dict):
            _refuse_code(value, path)  # transformers hands a sub-configuration the same keys


def _labels(config: dict[str, Any], folder: Path) -> tuple[str, ...]:
    id2label = config.get("id2label") or {str(i): f"LABEL_{i}" for i in range(int(config.get("num_labels", 2)))}
    try:
        return tuple(str(id2label[str(i)]) for i in range(len(id2label)))
    except KeyError as error:
        where = f"{folder / 'config.json'}: id2label"
        raise SourceError(f"{where}: expected the keys 0 … n-1; {error} is missing.") from None


def _declared_activation(folder: Path, config: dict[str, Any]) -> str | None:
    newer = folder / "config_sentence_transformers.json"
    # sentence-transformers reads its own file first.
    candidates = [
        (newer, _read_object(newer).get("activation_fn") if newer.exists() else None),
        (folder / "config.json", (config.get("sentence_transformers") or {}).get("activation_fn")),
        (folder / "config.json", config.get("sbert_ce_default_activation_function")),
    ]
    for path, name in candidates:
        if name is None:
            continue
        return ACTIVATION_CLASSES.get(name, f"{name!r} of {path.name}")
    return None


def _max_length(config: dict[str, Any], tokenizer_config: dict[str, Any]) -> int:
    positions = int(config.get("max_position_embeddings") or 512)
    if config.get("model_type") in OFFSET_POSITIONS:
        positions -= int(config.get("pad_token_id", 1)) + 1
    # transformers writes 1e30 where a tokenizer knows no limit.
    return int(min(float(tokenizer_config.get("model_max_length") or positions), positions))


def _tokenizer(folder: Path, tokenizer_config: dict[str, Any]) -> TokenizerInfo:
    from tokenizers import Tokenizer

    pad = tokenizer_config.get("pad_token") or "[PAD]"
    pad_token = str(pad["content"] if isinstance(pad, dict) else pad)
    path = folder / "tokenizer.json"
    try:
        pad_token_id = Tokenizer.from_file(str(path)).token_to_id(pad_token)
    except Exception as error:  # the Rust library raises a bare Exception
        raise SourceError(f"{path}: the tokenizer cannot be read: {error}.") from None
    if pad_token_id is None:
        raise SourceError(f"{path}: the padding token {pad_token!r} of tokenizer_config.json is not in it.")
    side = tokenizer_config.get("padding_side", "right")
    if side not in ("left", "right"):
        raise SourceError(f"{folder / 'tokenizer_config.json'}: padding_side: expected left or right, found {side!r}.")
    return TokenizerInfo(
        file="tokenizer.json",
        pad_token=pad_token,
        pad_token_id=pad_token_id,
        pad_token_type_id=int(tokenizer_config.get("pad_token_type_id") or 0),
        padding_side=side,
    )


def _weights(folder: Path) -> tuple[str, int]:
    """The most common dtype of the weights and their number, from safetensors headers alone."""
    counts: dict[str, int] = {}
    names: set[str] = set()
    index = folder / WEIGHTS_INDEX
    shards = set(_read_object(index)["weight_map"].values()) if index.exists() else set()
    if missing := sorted(name for name in shards if not (folder / name).is_file()):
        raise SourceError(f"{index}: weight_map names files that are missing: {', '.join(missing)}.")
    for path in sorted(folder.glob("*.safetensors")):
        for name, tensor in _safetensors_header(path).items():
            if name != "__metadata__":
                names.add(name)
                size = 1
                for dimension in tensor["shape"]:
                    size *= dimension
                counts[tensor["dtype"]] = counts.get(tensor["dtype"], 0) + size
    if not counts:
        raise SourceError(f"{folder}: the safetensors files hold no tensor.")
    if not any(name.partition(".")[0] in HEADS for name in names):
        raise SourceError(
            f"{folder}: no tensor of a classifier head ({', '.join(HEADS)}): it was saved without one, and "
            "transformers would fill it with random numbers. Save the whole classifier with "
            "`model.save_pretrained(folder)`."
        )
    return max(counts, key=lambda dtype: counts[dtype]), sum(counts.values())


def _safetensors_header(path: Path) -> dict[str, Any]:
    """The format's header: eight bytes of length, little-endian, then JSON."""
    try:
        with path.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            if length > 100_000_000:
                raise ValueError("the header is longer than the format allows")
            header = json.loads(stream.read(length))
            data = max((t["data_offsets"][1] for n, t in header.items() if n != "__metadata__"), default=0)
            if path.stat().st_size != 8 + length + data:
                raise ValueError(f"the file is {path.stat().st_size} bytes, its header says {8 + length + data}")
            return dict(header)
    except (OSError, ValueError, AttributeError, LookupError, TypeError, struct.error) as error:
        raise SourceError(f"{path}: damaged or incomplete safetensors file: {error}.") from None


def _read_object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SourceError(f"{path}: expected a JSON object: {error}.") from None
    if not isinstance(value, dict):
        raise SourceError(f"{path}: expected a JSON object, found a {type(value).__name__}.")
    return value
