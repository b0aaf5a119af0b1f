"""The head that scores: the architecture that promises it, the labels that name its rows, and its weights."""

from collections.abc import Mapping, Sequence

from stages.core.errors import SourceError
from stages.registry.checkpoint.json_objects import Config
from stages.registry.checkpoint.known_types import classifier_of
from stages.registry.checkpoint.tensors import Tensor

CLASSIFIER_ARCHITECTURE = "ForSequenceClassification"
_CAUSAL = "ForCausalLM"
# First part of the names that transformers gives to the weights of a classifier head.
HEADS = ("classifier", "score", "classification_head", "logits_proj", "sequence_summary")
# Perceiver's head is the decoder of its body.
_HEADS_WITHIN = ("perceiver.decoder.",)
# transformers' heads of this name read the last token that is not padding.
_DECODER_HEAD = "score"
# The last layer of a head, by what stands behind its first part: one row for each label.
_LAST_LAYERS = (".out_proj.weight", ".linear_out.weight", ".summary.weight", ".weight")


def refuse_other_architecture(config: Config) -> None:
    """Raise SourceError when the checkpoint names an architecture that is not a classifier."""
    name = _named(config)
    if name is None or name.endswith(CLASSIFIER_ARCHITECTURE):
        return
    reason = "the checkpoint has no classifier head to score with."
    if name.endswith(_CAUSAL):
        reason = (
            "a causal language model, which as a reranker scores with the logits of two tokens (yes and no). That is "
            f"not supported: use a checkpoint that was converted to …{CLASSIFIER_ARCHITECTURE}."
        )
    raise SourceError(f"{config.path}: architectures: expected a …{CLASSIFIER_ARCHITECTURE}, found {name}: {reason}")


def architecture(config: Config, tensors: Mapping[str, Tensor]) -> str:
    """The architecture, by its name or, where none is given, by the type of the model and the weights of a head."""
    name = _named(config)
    has_head = any(name.partition(".")[0] in HEADS or name.startswith(_HEADS_WITHIN) for name in tensors)
    if name is None:
        model_type = config.text("model_type") or "none"
        name = classifier_of(model_type) if has_head else None
        if name is None:
            found = f"a head and model_type {model_type}" if has_head else "no tensor of a head"
            raise SourceError(
                f"{config.path}: architectures: expected a …{CLASSIFIER_ARCHITECTURE}, found none, and {found}. If it "
                f'is a classifier, write its class: `"architectures": ["…{CLASSIFIER_ARCHITECTURE}"]`.'
            )
    elif not has_head:
        raise SourceError(
            f"{config.path.parent}: no tensor of a classifier head ({', '.join(HEADS)}): it was saved without one, and "
            "transformers would fill it with random numbers. Save the whole classifier with "
            "`model.save_pretrained(folder)`."
        )
    return name


def composed_architecture(config: Config, parts: Sequence[str]) -> str:
    """The name of a model whose head is parts of sentence-transformers behind an encoder."""
    return " + ".join([_named(config) or config.text("model_type") or "", *parts])


def score_labels(config: Config, count: int) -> tuple[str, ...]:
    """A name for each score of such a model: the configuration's, which belongs to the encoder, where they fit."""
    names = labels(config)
    return names if len(names) == count and config.get("id2label") else tuple(f"LABEL_{i}" for i in range(count))


def labels(config: Config) -> tuple[str, ...]:
    """The names of the labels, in the order of the logits; transformers' own names where there are none."""
    id2label = config.get("id2label")
    if not id2label:
        count = config.whole_number("num_labels")
        return tuple(f"LABEL_{i}" for i in range(2 if count is None else min(count, 10_000)))
    if not isinstance(id2label, dict):
        raise config.unexpected("id2label", "an object of names", id2label)
    try:
        return tuple(str(id2label[str(i)]) for i in range(len(id2label)))
    except KeyError as error:
        raise SourceError(f"{config.path}: id2label: expected the keys 0 … n-1; {error} is missing.") from None


def check_rows(config: Config, names: tuple[str, ...], tensors: Mapping[str, Tensor]) -> None:
    """Raise SourceError when the head computes more or fewer logits than there are labels."""
    last = next((f"{head}{end}" for head in HEADS for end in _LAST_LAYERS if f"{head}{end}" in tensors), None)
    if last is None or len(tensors[last].shape) != 2:
        return  # a head of another make: `reference` compares it with what the architecture expects
    if (rows := tensors[last].shape[0]) != len(names):
        raise SourceError(
            f"{config.path}: id2label: expected a name for each of the {rows} row(s) of {last}, found {len(names)}. "
            "Write the labels that the model was trained with."
        )


def is_of_a_decoder(tensors: Mapping[str, Tensor]) -> bool:
    """Whether the head reads the last token, so that it must be able to tell padding from text."""
    return any(name.partition(".")[0] == _DECODER_HEAD for name in tensors)


def _named(config: Config) -> str | None:
    """The first of `architectures`, or None where none is given."""
    found = config.get("architectures")
    if not found:
        return None
    if not isinstance(found, list) or not isinstance(found[0], str):
        raise config.unexpected("architectures", "a list of class names", found)
    return found[0]
