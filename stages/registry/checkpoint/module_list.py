"""`modules.json`: the parts that sentence-transformers builds a model of. One transformer is what is built here."""

from pathlib import Path

from stages.core.errors import SourceError
from stages.registry.checkpoint.json_objects import read_json

MODULES = "modules.json"
_TRANSFORMER = "Transformer"
_LOGIT_SCORE = "LogitScore"
_OWNER = "sentence_transformers."


def refuse_modules(folder: Path) -> None:
    """Raise SourceError when the model is more than one transformer with a classifier head, and name its parts."""
    path = folder / MODULES
    if not path.exists():
        return
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
    if names != [_TRANSFORMER]:
        raise SourceError(
            f"{path}: expected one {_TRANSFORMER} with a classifier head, found {len(names)} module(s): "
            f"{', '.join(names)}. Heads of several modules are not supported yet."
        )
    if modules[0].get("path"):
        raise SourceError(
            f"{path}: path: expected the transformer in the folder itself, found it in {modules[0]['path']!r}. "
            "Save it with `model.save_pretrained(folder)`."
        )
