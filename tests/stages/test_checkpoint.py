"""What a checkpoint's files must say: unsafe, incomplete and ambiguous ones are refused before anything is built."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from stages.core.errors import SourceError
from stages.registry import checkpoint
from tests.stages import project
from tests.stages.checkpoints import STORED, assert_add_refuses, edit_config, tiny_bert
from tests.stages.conftest import Stages

SOURCE_ERROR = 4
SLUG = project.SLUG
FOLDER = Path("checkpoints", SLUG)


def test_a_pickle_only_checkpoint_is_refused(folder: Path, stages: Stages) -> None:
    """Pickled weights can run code, so they are never opened; the message says how to convert them."""
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    assert_add_refuses(
        stages,
        "expected model.safetensors (or model.safetensors.index.json and its shards), found only pickled weights "
        "(pytorch_model.bin), which can run code. Save it with `model.save_pretrained(folder, "
        "safe_serialization=True)`.",
    )


def test_a_checkpoint_without_weights_is_refused(folder: Path, stages: Stages) -> None:
    """A folder with a tokenizer and no weights is told from one with pickles."""
    (folder / "model.safetensors").unlink()
    assert_add_refuses(stages, "found no weights.")


def test_a_missing_configuration_is_named(folder: Path, stages: Stages) -> None:
    """Without it nobody knows what the weights are."""
    (folder / "config.json").unlink()
    assert_add_refuses(stages, "config.json missing: expected a model folder")


def test_a_missing_tokenizer_is_named(folder: Path, stages: Stages) -> None:
    """A vocabulary would do."""
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.txt").unlink()
    message = (
        "tokenizer.json missing: expected it, or a vocabulary that transformers converts (sentencepiece.bpe.model, "
        "spiece.model, spm.model, tokenizer.model, vocab.json, vocab.txt). Save the tokenizer"
    )
    assert_add_refuses(stages, message)


def test_a_tokenizer_needs_no_configuration(folder: Path, stages: Stages) -> None:
    """transformers knows the class by the type of the model, and its padding token."""
    (folder / "tokenizer_config.json").unlink()
    assert stages("add", f"checkpoints/{SLUG}", "--license", "mit")[0] == 0


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_a_checkpoint_with_code_of_its_own_is_refused(folder: Path, stages: Stages, name: str) -> None:
    """`auto_map` asks for code of the repo to be run, which never happens."""
    edit_config(folder, name, auto_map={"AutoModel": "modeling.Evil"})
    assert_add_refuses(stages, f"{name}: auto_map: the checkpoint brings its own code")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("_attn_implementation", "evil/kernel"),
        ("attn_implementation", "evil/kernel:run"),
        ("_attn_implementation_internal", "evil/kernel"),
        ("attn_implementation", {"text": "evil/kernel"}),
        ("kernel_config", {"rmsnorm": "evil/kernel"}),
    ],
)
def test_an_attention_implementation_that_names_a_repo_is_refused(
    folder: Path, stages: Stages, key: str, value: Any
) -> None:
    """CVE-2026-4372: such a value makes transformers fetch and run code, whatever trust_remote_code says."""
    edit_config(folder, **{key: value})
    assert_add_refuses(stages, f"config.json: {key}: names code to download")


def test_an_attention_implementation_inside_a_sub_config_is_refused(folder: Path, stages: Stages) -> None:
    """transformers hands sub-configs the same keys, so they are looked at as well."""
    edit_config(folder, text_config={"_attn_implementation": "evil/kernel"})
    assert_add_refuses(stages, "names code to download")


def test_an_ordinary_attention_implementation_is_taken(folder: Path) -> None:
    """A name without a slash is one of transformers' own."""
    edit_config(folder, _attn_implementation="sdpa")
    assert checkpoint.inspect(folder).labels == ("LABEL_0",)


def test_an_encoder_without_a_classifier_is_refused_by_its_architecture(folder: Path, stages: Stages) -> None:
    """A BertModel has no head to score with."""
    edit_config(folder, architectures=["BertModel"])
    assert_add_refuses(
        stages,
        "config.json: architectures: expected a …ForSequenceClassification, found BertModel: the checkpoint has no "
        "classifier head to score with.",
    )


def test_another_architecture_is_refused(folder: Path, stages: Stages) -> None:
    """A head of another kind is no classifier."""
    edit_config(folder, architectures=["BertForMaskedLM"])
    assert_add_refuses(stages, "architectures: expected a …ForSequenceClassification")


@pytest.mark.toolchain
@pytest.mark.parametrize("lost", ["classifier.bias", "bert.encoder.layer.1.output"])
def test_missing_weights_are_never_made_up(folder: Path, stages: Stages, root: Path, lost: str) -> None:
    """Where a part of the weights is not there, `reference` fails, where weights are first read."""
    from safetensors.numpy import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    kept = {name: tensor for name, tensor in weights.items() if not name.startswith(lost)}
    assert len(kept) < len(weights)
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    assert stages("add", FOLDER.as_posix(), "--license", "mit")[0] == 0
    for stage in ("fetch", "data"):
        assert stages(stage, SLUG)[0] == 0
    for stage in ("reference", "export"):
        code, _, err = stages(stage, SLUG)
        assert code == SOURCE_ERROR, err
        assert "The checkpoint lacks" in err
        assert f"of its architecture: {lost}" in err
        assert "transformers would fill them with random numbers" in err
    built = {path.name for path in (root / "artifacts" / "models" / SLUG).rglob("*")}
    assert not built & {"reference.json", "export", ".export.partial"}


def test_a_checkpoint_without_any_weight_of_a_head_is_refused_at_once(folder: Path, stages: Stages) -> None:
    """A config that promises a head costs a message before anything is pinned."""
    from safetensors.numpy import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    kept = {name: tensor for name, tensor in weights.items() if not name.startswith("classifier")}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    assert_add_refuses(stages, f"{FOLDER.as_posix()}: no tensor of a classifier head")


@pytest.mark.parametrize("cut", [-1, -1000, 100, 8, 3, 0])
def test_a_truncated_safetensors_file_is_refused(folder: Path, stages: Stages, cut: int) -> None:
    """A download that broke off is noticed from the header, at whatever byte it broke off."""
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:cut])
    assert_add_refuses(stages, "model.safetensors: damaged or incomplete safetensors file: ")


def test_a_safetensors_header_that_is_no_object_is_refused(folder: Path, stages: Stages) -> None:
    """A file that is something else costs a message, not a traceback."""
    for header in (b"[]", b"1", b'{"a": 1}', b'{"a": {"dtype": "F32"}}'):
        (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
        assert_add_refuses(stages, "model.safetensors: ")


@pytest.mark.parametrize(
    ("config", "tokenizer", "expected"),
    [
        ({"max_position_embeddings": 512}, {"model_max_length": 512}, 512),
        ({"max_position_embeddings": 514, "model_type": "xlm-roberta", "pad_token_id": 1}, {}, 512),
        ({"max_position_embeddings": 514, "model_type": "roberta", "pad_token_id": 1}, {"model_max_length": 514}, 512),
        ({"max_position_embeddings": 8194, "model_type": "xlm-roberta", "pad_token_id": 1}, {}, 8192),
        ({"max_position_embeddings": 514, "model_type": "mpnet", "pad_token_id": 4}, {}, 512),
        ({"max_position_embeddings": 514}, {"model_max_length": 10**30}, 514),
        ({"max_position_embeddings": 512}, {"model_max_length": 128}, 128),
        ({"max_position_embeddings": None}, {"model_max_length": 10**30}, 512),
    ],
)
def test_the_longest_input_is_what_config_and_tokenizer_allow(
    folder: Path, config: dict[str, Any], tokenizer: dict[str, Any], expected: int
) -> None:
    """RoBERTa-style positions start behind the padding id, so two of the table are no positions."""
    edit_config(folder, **config)
    edit_config(folder, "tokenizer_config.json", model_max_length=None)
    edit_config(folder, "tokenizer_config.json", **tokenizer)
    assert checkpoint.inspect(folder).max_length == expected


@pytest.mark.usefixtures("pinned")
def test_an_entry_that_is_longer_than_the_checkpoint_is_refused(root: Path, stages: Stages) -> None:
    """Positions that do not exist cannot be asked for."""
    with project.edited(root / "registry" / "models.yaml") as registry:
        registry["models"][SLUG]["max_length"] = 512
    assert stages("fetch", SLUG)[::2] == (
        3,
        f"error: registry/models.yaml: models.{SLUG}.max_length: 512 tokens, the checkpoint takes 128.\n",
    )


@pytest.mark.parametrize(
    ("text", "message"), [("{", "expected a JSON object"), ("[]", "expected a JSON object, found a list.")]
)
def test_a_config_that_is_no_object_is_refused(folder: Path, stages: Stages, text: str, message: str) -> None:
    """Broken JSON is named with its file."""
    (folder / "config.json").write_text(text)
    assert_add_refuses(stages, message)


def test_a_tokenizer_that_cannot_be_read_is_refused(folder: Path, stages: Stages) -> None:
    """A truncated tokenizer.json is found at once, not by the first service that loads it."""
    text = (folder / "tokenizer.json").read_text(encoding="utf-8")
    (folder / "tokenizer.json").write_text(text[: len(text) // 2], encoding="utf-8")
    assert_add_refuses(stages, "tokenizer.json: the tokenizer cannot be read: ")


def test_a_padding_token_that_the_tokenizer_lacks_is_refused(folder: Path, stages: Stages) -> None:
    """transformers adds it behind all others, where the model has no embedding."""
    edit_config(folder, "tokenizer_config.json", pad_token="<pad>")
    assert_add_refuses(stages, "the model has embeddings for 460 tokens, and the tokenizer gives '<pad>' the id 460.")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_file_that_differs_from_its_lock_is_refused(pinned: Path, root: Path, stages: Stages, name: str) -> None:
    """The build stops before anything is made of changed bytes, and says what was locked and what was found."""
    path = pinned / name
    path.write_bytes(path.read_bytes() + b" ")
    code, _, err = stages("fetch", SLUG)
    assert code == SOURCE_ERROR
    first, second, third = err.splitlines()
    assert first == f"error: checkpoints/{SLUG} is not what was pinned:"
    size = path.stat().st_size
    assert second.startswith(f"  {name}: locked {size - 1} bytes, sha256 ")
    assert f", found {size} bytes, sha256 " in second
    assert third.startswith("If the change is wanted, `python -m stages pin <slug>` pins the files as they are now")
    assert not (root / "artifacts" / "models" / SLUG / "source").exists()
    assert not list((root / "artifacts" / "models" / SLUG).iterdir())


def test_a_locked_file_that_is_gone_is_named(pinned: Path, stages: Stages) -> None:
    """What the lock lists must be there."""
    (pinned / "vocab.txt").unlink()
    assert stages("fetch", SLUG)[::2] == (
        SOURCE_ERROR,
        f"error: checkpoints/{SLUG}: files of the lock are missing: vocab.txt.\n",
    )


def test_a_missing_folder_is_named(pinned: Path, stages: Stages) -> None:
    """A path that is not there is one line."""
    shutil.rmtree(pinned)
    message = (
        f"error: checkpoints/{SLUG}: the folder does not exist. Expected a checkpoint saved with save_pretrained.\n"
    )
    assert stages("fetch", SLUG)[::2] == (SOURCE_ERROR, message)


def test_an_older_fetch_stays_when_a_newer_one_is_refused(pinned: Path, root: Path, stages: Stages) -> None:
    """A refusal leaves what was fetched before."""
    assert stages("fetch", SLUG)[0] == 0
    before = project.snapshot(root / "artifacts")
    edit_config(pinned, hidden_act="relu")
    assert stages("fetch", SLUG)[0] == SOURCE_ERROR
    assert project.snapshot(root / "artifacts") == before


def test_a_spec_tells_what_the_checkpoint_is(pinned: Path, root: Path, stages: Stages) -> None:
    """Later stages read the resolved spec alone: architecture, labels, activation, lengths, weights."""
    assert stages("fetch", SLUG)[0] == 0
    spec = project.read_json(root / "artifacts" / "models" / SLUG / "spec.json")
    assert spec["architecture"] == "BertForSequenceClassification"
    assert (spec["labels"], spec["activation"], spec["max_length"]) == (["LABEL_0"], "sigmoid", 128)
    assert spec["weight_dtype"] == "F32"
    assert (spec["prompt"], spec["declared_max_length"]) == ("", 128)
    assert spec["source"]["revision"].startswith("sha256:")
    source = {name: data for name, data in project.snapshot(pinned).items() if name != "README.md"}
    assert project.snapshot(root / "artifacts" / "models" / SLUG / "source") == source


def test_needed_files_of_a_sharded_checkpoint_are_index_and_shards() -> None:
    """Shards come with their index; other formats of the same weights stay where they are."""
    names = ["model.safetensors.index.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    others = ["config.json", "tokenizer.json", "tokenizer_config.json", "flax_model.msgpack", "onnx/model.onnx"]
    assert checkpoint.needed_files([*names, *others]) == tuple(sorted([*names, *others[:3]]))
    with pytest.raises(SourceError, match="found no weights"):
        checkpoint.needed_files([names[0], *others])


@pytest.mark.toolchain
def test_the_stored_checkpoint_is_what_transformers_writes(tmp_path: Path) -> None:
    """The tests' stored checkpoint has today's files, weights and tokenizer; its config is of some earlier release."""
    written = project.snapshot(tiny_bert(tmp_path / "tiny"))
    stored = project.snapshot(STORED)
    assert stored.keys() == written.keys()
    for name in ("model.safetensors", "tokenizer.json", "vocab.txt"):
        assert stored[name] == written[name], name
