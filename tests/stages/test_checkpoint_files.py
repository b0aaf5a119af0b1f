"""Files of a checkpoint that are not what their names say, or are there twice, or belong to a model of other parts."""

from pathlib import Path
from typing import Any

import pytest

from stages.core.errors import SourceError
from stages.registry import checkpoint
from tests.stages.checkpoints import edit_config, plain_checkpoint, write_json, write_safetensors

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 1234\n"
SHARD = "model-0000{}-of-00002.safetensors"
HEAD = {"classifier.weight": (1, 4)}
OWN = "sentence_transformers"


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A whole checkpoint of plain files, for a test to spoil."""
    return plain_checkpoint(tmp_path / "plain")


def refusal(folder: Path) -> str:
    """What `inspect` refuses the folder with, which it calls acme/base."""
    with pytest.raises(SourceError) as error:
        checkpoint.inspect(folder, "acme/base")
    return str(error.value)


def shard(folder: Path, weight_map: dict[str, str]) -> None:
    """Replace the weights by two shards, the head in the first, and an index with this map."""
    (folder / "model.safetensors").unlink()
    write_safetensors(folder / SHARD.format(1), HEAD)
    write_safetensors(folder / SHARD.format(2), {"bert.weight": (2, 2)})
    write_json(folder / "model.safetensors.index.json", {"metadata": {}, "weight_map": weight_map})


def test_a_plain_checkpoint_is_whole(plain: Path) -> None:
    """What the other tests spoil is accepted."""
    found = checkpoint.inspect(plain)
    assert (found.architecture, found.labels) == ("BertForSequenceClassification", ("LABEL_0",))
    assert (found.max_length, found.parameters, found.weight_dtype) == (64, 5, "F32")


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json", "vocab.txt"])
def test_a_git_lfs_pointer_is_named(plain: Path, name: str) -> None:
    """A clone without Git LFS has pointers in the place of large files, whatever they hold."""
    (plain / name).write_text(POINTER)
    assert refusal(plain) == (
        f"acme/base: expected the content of {name}, found a Git LFS pointer: run `git lfs pull` in that repository."
    )


def test_shards_with_their_index_are_read(plain: Path) -> None:
    """Parameters are counted over all shards that the index names; other files beside them are not weights."""
    shard(plain, {"classifier.weight": SHARD.format(1), "bert.weight": SHARD.format(2)})
    write_safetensors(plain / "adapter.safetensors", {"lora": (100, 100)})
    assert checkpoint.inspect(plain).parameters == 8


def test_a_tensor_that_no_shard_holds_is_named(plain: Path) -> None:
    """The index and the headers of the shards are compared."""
    shard(plain, {"classifier.weight": SHARD.format(1), "bert.bias": SHARD.format(2)})
    assert refusal(plain) == (
        "acme/base/model.safetensors.index.json: weight_map names 1 tensor(s) that are not in their shard: bert.bias "
        f"is not in {SHARD.format(2)}. Save the model again with `model.save_pretrained(folder)`."
    )


def test_a_shard_that_is_not_there_is_named(plain: Path) -> None:
    """An index may name more shards than were copied."""
    shard(plain, {"classifier.weight": SHARD.format(1), "bert.weight": SHARD.format(3)})
    assert refusal(plain).endswith(f"index.json: weight_map names files that are missing: {SHARD.format(3)}.")


@pytest.mark.parametrize("weight_map", [None, [], {"a": 1}, {"a": "../model.safetensors"}])
def test_an_index_of_another_kind_is_refused(plain: Path, weight_map: Any) -> None:
    """It maps tensors to files of the same folder."""
    shard(plain, {})
    write_json(plain / "model.safetensors.index.json", {"weight_map": weight_map})
    assert refusal(plain).startswith("acme/base/model.safetensors.index.json: weight_map: expected ")


def test_two_sets_of_weights_are_refused(plain: Path) -> None:
    """transformers would read the one file, whichever set is the newer."""
    write_safetensors(plain / SHARD.format(1), HEAD)
    message = (
        f"expected one set of weights, found model.safetensors and beside it {SHARD.format(1)}. "
        "Delete the set that is not wanted."
    )
    assert refusal(plain) == message
    with pytest.raises(SourceError) as error:
        checkpoint.needed_files(path.name for path in plain.iterdir())
    assert str(error.value) == message


def test_weights_with_another_name_are_no_second_set(plain: Path) -> None:
    """Some repos keep a half-precision copy beside the weights; only the weights are pinned."""
    write_safetensors(plain / "model-fp16.safetensors", HEAD)
    assert checkpoint.inspect(plain).parameters == 5
    needed = checkpoint.needed_files(path.name for path in plain.iterdir())
    assert "model.safetensors" in needed
    assert "model-fp16.safetensors" not in needed


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("adapter_model.safetensors", "an adapter without its base model. Merge it first"),
        ("model.safetensors.index.json", "no weights: the index is there without its shards."),
        ("modules.json", "modules.json, which puts the transformer into another folder."),
        ("flax_model.msgpack", "no weights."),
    ],
)
def test_what_is_there_instead_of_weights_is_named(name: str, found: str) -> None:
    """An adapter, an index alone, and parts in folders of their own are told apart."""
    with pytest.raises(SourceError, match=r"^expected model\.safetensors .*, found " + found):
        checkpoint.needed_files([name])


@pytest.mark.parametrize("vocabulary", ["vocab.txt", "sentencepiece.bpe.model", "spiece.model", "tokenizer.model"])
def test_a_vocabulary_alone_is_pinned(vocabulary: str) -> None:
    """transformers makes a tokenizer.json of each of these."""
    names = ["model.safetensors", "config.json", vocabulary]
    assert checkpoint.needed_files(names) == tuple(sorted(names))


def test_one_transformer_as_module_is_accepted(plain: Path) -> None:
    """sentence-transformers 5.4 and later write modules.json for every model."""
    modules = [{"idx": 0, "name": "0", "path": "", "type": f"{OWN}.base.modules.transformer.Transformer"}]
    write_json(plain / "modules.json", modules)
    assert checkpoint.inspect(plain).labels == ("LABEL_0",)


@pytest.mark.parametrize(
    ("types", "message"),
    [
        (
            ["models.Transformer", "models.Pooling", "models.LSTM", "models.Dense"],
            "expected a Transformer, alone or followed by Dense, Dropout, LayerNorm, Normalize, Pooling; LSTM is not "
            "known. The modules are: Transformer, Pooling, LSTM, Dense.",
        ),
        (
            ["models.Pooling", "models.Dense"],
            "expected a Transformer, alone or followed by Dense, Dropout, LayerNorm, Normalize, Pooling, found "
            "Pooling. The modules are: Pooling, Dense.",
        ),
        (
            ["base.modules.transformer.Transformer", "cross_encoder.modules.logit_score.LogitScore"],
            "a causal reranker (Transformer, LogitScore): it scores with the logits of two tokens of a language "
            "model, which is not supported. Use a checkpoint that was converted to …ForSequenceClassification.",
        ),
    ],
)
def test_a_head_of_modules_is_named(plain: Path, types: list[str], message: str) -> None:
    """Such a checkpoint has an encoder alone in its folder: its modules say so before its architecture does."""
    edit_config(plain, architectures=["ModernBertModel"])
    write_json(plain / "modules.json", [{"path": "", "type": f"{OWN}.{name}"} for name in types])
    assert refusal(plain) == f"acme/base/modules.json: {message}"


@pytest.mark.parametrize(
    ("modules", "message"),
    [
        ([{"path": "", "type": "custom_st.Transformer"}], "type: the module 'custom_st.Transformer' is code from "),
        ([{"path": "0_Transformer", "type": f"{OWN}.models.Transformer"}], "path: expected the transformer in the "),
        ({}, "expected a list of modules"),
        ([], "expected a list of modules"),
        ([1], "expected a list of modules"),
    ],
)
def test_other_modules_are_refused(plain: Path, modules: Any, message: str) -> None:
    """Code of a repo is never run, and the transformer lies where the other files do."""
    write_json(plain / "modules.json", modules)
    assert refusal(plain).startswith(f"acme/base/modules.json: {message}")


@pytest.mark.parametrize(("modules", "limit"), [(True, 32), (False, 48)])
def test_the_limit_of_sentence_transformers_replaces_the_tokenizers(plain: Path, modules: bool, limit: int) -> None:
    """Its file is read only where there are modules."""
    edit_config(plain, "tokenizer_config.json", model_max_length=48)
    write_json(plain / "sentence_bert_config.json", {"max_seq_length": 32})
    if modules:
        write_json(plain / "modules.json", [{"path": "", "type": f"{OWN}.models.Transformer"}])
    assert checkpoint.inspect(plain).max_length == limit
    assert "sentence_bert_config.json" in checkpoint.needed_files(path.name for path in plain.iterdir())


def test_quantised_weights_are_refused(plain: Path) -> None:
    """Every variant is compared with float32."""
    edit_config(plain, quantization_config={"quant_method": "bitsandbytes", "load_in_4bit": True})
    assert refusal(plain) == (
        "acme/base/config.json: quantization_config: expected float weights, found weights that are quantised already. "
        "Use the checkpoint that they were made from."
    )


def test_text_that_cannot_be_written_again_is_refused(plain: Path) -> None:
    """A lone surrogate passes JSON, and would end the writing of the manifest."""
    (plain / "config.json").write_text('{"id2label": {"0": "\\ud800"}}')
    assert "config.json: expected a JSON object: 'utf-8' codec can't encode" in refusal(plain)
