"""`inspect`: everything that the files of a checkpoint declare, in one struct."""

from pathlib import Path

from msgspec import Struct
from tokenizers import Tokenizer

from artificer.manifest import Activation, TokenizerInfo
from stages.core.errors import SourceError, first_line
from stages.registry.checkpoint import classifier_head, known_types, own_code
from stages.registry.checkpoint.declared_activation import PROBLEM_TYPES, declared_activation
from stages.registry.checkpoint.default_prompt import default_prompt
from stages.registry.checkpoint.input_length import max_length, peer_length
from stages.registry.checkpoint.json_objects import Config
from stages.registry.checkpoint.lfs_pointers import refuse_pointers
from stages.registry.checkpoint.module_list import check_prompt, part_tensors, read_parts, score_count
from stages.registry.checkpoint.needed_files import refuse_two_sets
from stages.registry.checkpoint.padding import padding_changes_scores
from stages.registry.checkpoint.tensors import read_tensors, refuse_quantised
from stages.registry.checkpoint.tokenizer_files import read_tokenizer
from stages.registry.checkpoint.tokenizer_fit import check_fit
from stages.registry.checkpoint.unsupported_types import refuse_unsupported


class Checkpoint(Struct, frozen=True, kw_only=True):
    """What the files declare. `activation` is what they tell sentence-transformers, None when they tell nothing; it may
    be one that is unknown. `problem_activation` follows from the `problem_type`, for several labels. `max_length` is
    what the model takes, `peer_max_length` the limit of sentence-transformers, which may be more. `padded`: see
    `TokenizerInfo`."""

    architecture: str
    model_type: str
    labels: tuple[str, ...]
    activation: str | None
    problem_activation: Activation | None
    max_length: int
    peer_max_length: int
    prompt: str
    padded: bool
    parameters: int
    weight_dtype: str


def inspect(folder: Path, name: str | None = None) -> Checkpoint:
    """Read a folder that holds `needed_files`; `name` is what messages call it. Raises SourceError for anything that is
    unsafe or unclear."""
    try:
        return _inspect(folder)
    except SourceError as error:
        raise SourceError(str(error).replace(str(folder), name or str(folder))) from None
    except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
        raise SourceError(f"{name or folder}: its configuration cannot be interpreted: {first_line(error)}.") from None


def check_tokenizer(folder: Path, tokenizer: Tokenizer, info: TokenizerInfo, *, name: str) -> None:
    """Raise SourceError when a tokenizer that was made of the files in `folder` does not fit the model there."""
    config = Config.read(folder / "config.json")
    tokenizer_config = Config.read_optional(folder / "tokenizer_config.json")
    decoder = classifier_head.is_of_a_decoder(read_tensors(folder))
    try:
        check_fit(config, tokenizer_config, tokenizer, info, decoder=decoder)
    except SourceError as error:
        raise SourceError(str(error).replace(str(folder), name)) from None


def _inspect(folder: Path) -> Checkpoint:
    refuse_pointers(folder)
    config = Config.read(folder / "config.json")
    tokenizer_config = Config.read_optional(folder / "tokenizer_config.json")
    own_code.refuse(config)
    own_code.refuse(tokenizer_config)
    refuse_unsupported(config)
    parts = read_parts(folder)
    if not parts:
        classifier_head.refuse_other_architecture(config)
    refuse_quantised(config)
    refuse_two_sets(path.name for path in folder.iterdir())
    tensors = read_tensors(folder)
    if parts:
        architecture = classifier_head.composed_architecture(config, [part.kind for part in parts])
        labels = classifier_head.score_labels(config, score_count(folder, parts))
        tensors |= part_tensors(folder, parts)
        check_prompt(folder, parts, default_prompt(folder))
    else:
        architecture = classifier_head.architecture(config, tensors)
        labels = classifier_head.labels(config)
        classifier_head.check_rows(config, labels, tensors)
    known_types.check_model_type(config)
    if (declared := read_tokenizer(folder, tokenizer_config)) is not None:
        check_fit(config, tokenizer_config, *declared, decoder=classifier_head.is_of_a_decoder(tensors))
    counts: dict[str, int] = {}
    for tensor in tensors.values():
        counts[tensor.dtype] = counts.get(tensor.dtype, 0) + tensor.size
    return Checkpoint(
        architecture=architecture,
        model_type=str(config.get("model_type", "")),
        labels=labels,
        activation=declared_activation(folder, config),
        problem_activation=PROBLEM_TYPES.get(str(config.get("problem_type"))) if len(labels) > 1 else None,
        max_length=max_length(folder, config, tokenizer_config),
        peer_max_length=peer_length(folder, config, tokenizer_config),
        prompt=default_prompt(folder),
        padded=not padding_changes_scores(config),
        parameters=sum(counts.values()),
        weight_dtype=max(counts, key=lambda dtype: counts[dtype]),
    )
