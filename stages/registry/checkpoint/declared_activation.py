"""What is applied to the logits: declared by the checkpoint, chosen by the entry, or implied by the kind of task."""

from pathlib import Path
from typing import cast, get_args

from artificer.manifest import Activation
from stages.core.errors import SourceError
from stages.registry.checkpoint.json_objects import Config

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


def declared_activation(folder: Path, config: Config) -> str | None:
    """What the files tell sentence-transformers, which reads its own file first; None when they tell nothing."""
    newer = Config.read_optional(folder / "config_sentence_transformers.json")
    settings = config.get("sentence_transformers") or {}
    if not isinstance(settings, dict):
        raise config.unexpected("sentence_transformers", "an object", settings)
    older = Config(config.path, settings)
    key = "sbert_ce_default_activation_function"
    for place, name in (
        (newer, newer.text("activation_fn")),
        (older, older.text("activation_fn")),
        (config, config.text(key)),
    ):
        if name is not None:
            return ACTIVATION_CLASSES.get(name, f"{name!r} of {place.path.name}")
    return None


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
