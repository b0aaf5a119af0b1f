"""What a checkpoint says of its labels and their activation, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from stages.registry import checkpoint
from tests.stages import project
from tests.stages.checkpoints import assert_add_refuses, edit_config, tiny_bert
from tests.stages.conftest import Stages

SOURCE_ERROR = 4
SLUG = project.SLUG
FOLDER = Path("checkpoints", SLUG)


@pytest.mark.toolchain
def test_several_labels_without_an_activation_need_one(root: Path, stages: Stages) -> None:
    """Sigmoid and softmax score several labels differently, so neither is assumed."""
    tiny_bert(root / FOLDER, labels=3)
    message = (
        "activation: the checkpoint has 3 labels and declares no activation and no problem_type. Say which applies: "
        "`activation: sigmoid` (labels independent), `softmax` (exactly one applies) or `identity` (raw logits) in the "
        "entry, or --activation of `add`."
    )
    assert_add_refuses(stages, f"models.{SLUG}.{message}")
    entry = {"source": {"path": FOLDER.as_posix()}, "task": "text-classification", "license": "mit"}
    project.write_yaml(root / "registry" / "models.yaml", {"models": {SLUG: entry}})
    project.pin(root, SLUG)
    code, _, err = stages("fetch", SLUG)
    assert (code, err) == (SOURCE_ERROR, f"error: registry/models.yaml: models.{SLUG}.{message}\n")
    assert not (root / "artifacts" / "models" / SLUG / "source").exists()
    project.write_yaml(root / "registry" / "models.yaml", {"models": {SLUG: {**entry, "activation": "softmax"}}})
    assert stages("fetch", SLUG)[0] == 0
    spec = project.read_json(root / "artifacts" / "models" / SLUG / "spec.json")
    assert (spec["activation"], spec["declared_activation"]) == ("softmax", "identity")


@pytest.mark.toolchain
@pytest.mark.parametrize(
    ("problem_type", "labels", "activation"),
    [
        ("multi_label_classification", 3, "sigmoid"),
        ("single_label_classification", 3, "softmax"),
        ("regression", 3, "identity"),
        ("regression", 1, "sigmoid"),  # sentence-transformers' rule for one label, whatever the problem was called
    ],
)
def test_the_problem_type_tells_the_activation_of_several_labels(
    root: Path, stages: Stages, problem_type: str, labels: int, activation: str
) -> None:
    """transformers' own rule; sentence-transformers, which would return logits, is told so in the card."""
    tiny_bert(root / FOLDER, labels=labels, problem_type=problem_type, sentence_transformers=None)
    code, out, err = stages("add", FOLDER.as_posix(), "--slug", SLUG, "--license", "mit")
    assert code == 0, err
    assert f"{labels} label(s), {activation}, " in out
    assert stages("fetch", SLUG)[0] == 0
    spec = project.read_json(root / "artifacts" / "models" / SLUG / "spec.json")
    declared = "sigmoid" if labels == 1 else "identity"
    assert (spec["activation"], spec["declared_activation"]) == (activation, declared)


@pytest.mark.usefixtures("pinned")
def test_softmax_over_one_label_is_refused(root: Path, stages: Stages) -> None:
    """It would score every pair 1."""
    with project.edited(root / "registry" / "models.yaml") as registry:
        registry["models"][SLUG]["activation"] = "softmax"
    code, _, err = stages("fetch", SLUG)
    assert code == SOURCE_ERROR
    assert err == (
        f"error: registry/models.yaml: models.{SLUG}.activation: softmax over one label is always 1; expected sigmoid "
        "or identity.\n"
    )


@pytest.mark.parametrize("activation", ["builtins.eval", "torch.nn.modules.activation.ReLU", "Sigmoid"])
def test_an_unknown_activation_is_refused(folder: Path, stages: Stages, activation: str) -> None:
    """The path of a function is compared with a table and never imported."""
    edit_config(folder, sentence_transformers={"activation_fn": activation})
    assert_add_refuses(
        stages, f"the checkpoint declares '{activation}' of config.json; known are torch.nn.modules.activation.Sigmoid"
    )


@pytest.mark.parametrize(
    ("config", "newer", "expected"),
    [
        ({"sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity"}}, None, "identity"),
        ({"sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity"}, None, "identity"),
        ({}, "torch.nn.modules.linear.Identity", "identity"),
        ({}, None, None),
    ],
)
def test_the_activation_is_read_wherever_sentence_transformers_wrote_it(
    folder: Path, config: dict[str, Any], newer: str | None, expected: str | None
) -> None:
    """Three places over the library's versions; without any, none is declared."""
    edit_config(folder, sentence_transformers=None)
    edit_config(folder, **config)
    if newer:
        (folder / "config_sentence_transformers.json").write_text(json.dumps({"activation_fn": newer}))
    assert checkpoint.inspect(folder).activation == expected


def test_labels_must_be_numbered_without_gaps(folder: Path, stages: Stages) -> None:
    """Labels are columns of the logits, so a hole in their numbers is refused."""
    edit_config(folder, id2label={"0": "a", "2": "b"})
    assert_add_refuses(stages, "id2label: expected the keys 0 … n-1; '1' is missing.")
