"""`modules.json`: the parts that sentence-transformers builds a model of.

One Transformer is a classifier of transformers. More parts are built where they are known: an encoder, its pooling, and
layers after it, as sentence-transformers 5.4 and later write them. No code of a repository is run.
"""

from pathlib import Path
from typing import Any, NamedTuple

from stages.core.errors import SourceError
from stages.registry.checkpoint.json_objects import Config, read_json
from stages.registry.checkpoint.tensors import Tensor, read_header

MODULES = "modules.json"
_TRANSFORMER = "Transformer"
_LOGIT_SCORE = "LogitScore"
_OWNER = "sentence_transformers."
_SCORES = "scores"
_KNOWN = ("Dense", "Dropout", "LayerNorm", "Normalize", "Pooling")
_WITH_WEIGHTS = ("Dense", "LayerNorm")
_WEIGHTS = "model.safetensors"
# What the first part must do, for the others to follow: return the encoder's last hidden states.
_ENCODER_TASK = "feature-extraction"
_ENCODER_OUTPUT = {"method": "forward", "method_output_name": "last_hidden_state"}
_ACTIVATIONS = "torch.nn.modules."


class Part(NamedTuple):
    """One part: what it is, and its folder."""

    kind: str
    path: str


def read_parts(folder: Path) -> tuple[Part, ...]:
    """The parts behind the transformer; none where the model is one transformer with a classifier head.

    Raises:
        SourceError: a part is unknown, is code of somebody else's, or does not fit the others.
    """
    path = folder / MODULES
    if not path.exists():
        return ()
    modules = read_json(path)
    if not isinstance(modules, list) or not modules or not all(isinstance(each, dict) for each in modules):
        raise SourceError(f"{path}: expected a list of modules, each an object with a type.")
    types = [str(each.get("type", "")) for each in modules]
    if foreign := [each for each in types if not each.startswith(_OWNER)]:
        raise SourceError(
            f"{path}: type: the module {foreign[0]!r} is code from outside of sentence-transformers, which is never "
            "run. Use a checkpoint of sentence-transformers' own modules."
        )
    names = [each.rpartition(".")[2] for each in types]
    if _LOGIT_SCORE in names:
        raise SourceError(
            f"{path}: a causal reranker ({', '.join(names)}): it scores with the logits of two tokens of a language "
            "model, which is not supported. Use a checkpoint that was converted to …ForSequenceClassification."
        )
    if names[0] != _TRANSFORMER or (unknown := [name for name in names[1:] if name not in _KNOWN]):
        found = f", found {names[0]}" if names[0] != _TRANSFORMER else f"; {unknown[0]} is not known"
        raise SourceError(
            f"{path}: expected a {_TRANSFORMER}, alone or followed by {', '.join(_KNOWN)}{found}. The modules are: "
            f"{', '.join(names)}."
        )
    if modules[0].get("path"):
        raise SourceError(
            f"{path}: path: expected the transformer in the folder itself, found it in {modules[0]['path']!r}. "
            "Save it with `model.save_pretrained(folder)`."
        )
    parts = tuple(Part(name, str(each.get("path", ""))) for name, each in zip(names[1:], modules[1:], strict=True))
    if parts:
        _check_encoder(folder)
    for part in parts:
        _check_part(folder, part)
    if parts and (parts[-1].kind != "Dense" or _config(folder, parts[-1]).get("module_output_name") != _SCORES):
        raise SourceError(f"{path}: expected a Dense at the end whose module_output_name is {_SCORES!r}.")
    return parts


def score_count(folder: Path, parts: tuple[Part, ...]) -> int:
    """How many scores the last part returns."""
    config = _config(folder, parts[-1])
    count = config.whole_number("out_features")
    if not count:
        raise config.unexpected("out_features", "a number of scores", count)
    return count


def part_tensors(folder: Path, parts: tuple[Part, ...]) -> dict[str, Tensor]:
    """The tensors of all parts, by the folder and the name of each."""
    return {
        f"{part.path}.{name}": tensor
        for part in parts
        if part.kind in _WITH_WEIGHTS
        for name, tensor in read_header(folder / part.path / _WEIGHTS).items()
    }


def check_prompt(folder: Path, parts: tuple[Part, ...], prompt: str) -> None:
    """Raise SourceError where the pooling leaves out the prompt, whose length a graph does not know."""
    for part in parts:
        if part.kind == "Pooling" and prompt and not _config(folder, part).get("include_prompt", True):
            raise SourceError(
                f"{folder / part.path}/config.json: include_prompt: expected true, found false, and the model has a "
                "default prompt: a graph does not know which tokens are the prompt's."
            )


def _config(folder: Path, part: Part) -> Config:
    return Config.read_optional(folder / part.path / "config.json")


def _check_encoder(folder: Path) -> None:
    config = Config.read_optional(folder / "sentence_bert_config.json")
    if (task := config.get("transformer_task", _ENCODER_TASK)) != _ENCODER_TASK:
        raise config.unexpected("transformer_task", f"{_ENCODER_TASK}, since there are more modules", task)
    text: Any = (config.get("modality_config") or {"text": _ENCODER_OUTPUT}).get("text")
    if text != _ENCODER_OUTPUT:
        raise config.unexpected("modality_config", "texts whose last hidden states are used", text)


def _check_part(folder: Path, part: Part) -> None:
    place = folder / part.path
    if not part.path or Path(part.path).name != part.path:
        raise SourceError(f"{folder / MODULES}: path: expected a folder for the {part.kind}, found {part.path!r}.")
    if part.kind in _WITH_WEIGHTS and not (place / _WEIGHTS).is_file():
        raise SourceError(
            f"{place}: expected {_WEIGHTS}, found no weights, or pickled ones, which can run code. Save the model with "
            "`model.save_pretrained(folder)`."
        )
    activation = _config(folder, part).get("activation_function", _ACTIVATIONS)
    if part.kind == "Dense" and not str(activation).startswith(_ACTIVATIONS):
        raise _config(folder, part).unexpected("activation_function", f"a class of {_ACTIVATIONS[:-1]}", activation)
