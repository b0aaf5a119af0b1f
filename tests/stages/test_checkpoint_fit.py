"""Parts of a checkpoint that contradict each other: head and labels, model and tokenizer."""

from pathlib import Path
from typing import Any

import pytest

from artificer.manifest import TokenizerInfo
from stages.core.errors import SourceError
from stages.registry import checkpoint
from stages.registry.checkpoint import known_types
from stages.registry.checkpoint.json_objects import Config
from stages.registry.checkpoint.tokenizer_files import read_tokenizer
from stages.registry.checkpoint.unsupported_types import REASONS
from tests.stages.checkpoints import edit_config, plain_checkpoint, write_json, write_safetensors

LLAMA: dict[str, Any] = {
    "architectures": ["LlamaForSequenceClassification"],
    "model_type": "llama",
    "type_vocab_size": None,
}
SCORE = {"model.embed_tokens.weight": (7, 4), "score.weight": (1, 4)}


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A whole checkpoint of plain files, for a test to spoil."""
    return plain_checkpoint(tmp_path / "plain")


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> dict[str, str | None]:
    """transformers' tables as a test wants them."""
    found: dict[str, str | None] = {}
    monkeypatch.setattr(known_types, "_table", found.get)
    monkeypatch.setattr(known_types, "version", lambda _: "4.57.6")
    return found


def declared(folder: Path) -> TokenizerInfo:
    """How the files say that the tokenizer pads and truncates."""
    found = read_tokenizer(folder, Config.read(folder / "tokenizer_config.json"))
    assert found is not None
    return found[1]


def refusal(folder: Path) -> str:
    """What `inspect` refuses the folder with, which it calls acme/base."""
    with pytest.raises(SourceError) as error:
        checkpoint.inspect(folder, "acme/base")
    return str(error.value)


@pytest.mark.parametrize(
    ("head", "hidden"),
    [
        ("classifier.weight", {}),
        ("classifier.out_proj.weight", {"classifier.dense.weight": (4, 4)}),
        ("classification_head.out_proj.weight", {"classification_head.dense.weight": (4, 4)}),
        ("score.weight", {}),
        ("logits_proj.weight", {"sequence_summary.summary.weight": (4, 4)}),
    ],
)
def test_rows_of_the_head_are_compared_with_the_labels(
    plain: Path, head: str, hidden: dict[str, tuple[int, ...]]
) -> None:
    """The last layer has a row for each label, whatever it is called."""
    write_safetensors(plain / "model.safetensors", {**hidden, head: (1, 4)})
    assert checkpoint.inspect(plain).labels == ("LABEL_0",)
    write_safetensors(plain / "model.safetensors", {**hidden, head: (3, 4)})
    assert refusal(plain) == (
        f"acme/base/config.json: id2label: expected a name for each of the 3 row(s) of {head}, found 1. "
        "Write the labels that the model was trained with."
    )


def test_labels_that_nobody_named_are_counted_as_transformers_does(plain: Path) -> None:
    """Without id2label and num_labels there are two."""
    edit_config(plain, id2label=None)
    assert "expected a name for each of the 1 row(s) of classifier.weight, found 2." in refusal(plain)
    edit_config(plain, num_labels=1)
    assert checkpoint.inspect(plain).labels == ("LABEL_0",)


@pytest.mark.parametrize("architectures", [None, []])
def test_an_architecture_that_is_not_named_follows_from_type_and_head(
    plain: Path, tables: dict[str, str | None], architectures: Any
) -> None:
    """transformers' table has one classifier for each type."""
    tables["modeling_auto.py"] = '("bert", "BertForMaskedLM"), ("bert", "BertForSequenceClassification")'
    edit_config(plain, architectures=architectures)
    assert checkpoint.inspect(plain).architecture == "BertForSequenceClassification"


def test_an_architecture_that_is_not_named_needs_a_head(plain: Path) -> None:
    """Weights of an encoder alone are no classifier."""
    edit_config(plain, architectures=None)
    write_safetensors(plain / "model.safetensors", {"bert.weight": (1, 4)})
    assert refusal(plain) == (
        "acme/base/config.json: architectures: expected a …ForSequenceClassification, found none, and no tensor of a "
        'head. If it is a classifier, write its class: `"architectures": ["…ForSequenceClassification"]`.'
    )


def test_an_architecture_that_is_not_named_needs_a_known_type(plain: Path) -> None:
    """The class to write is asked for."""
    edit_config(plain, architectures=None, model_type="brand-new")
    assert "found none, and a head and model_type brand-new. If it is a classifier, write its class: " in refusal(plain)


@pytest.mark.parametrize("architectures", ["BertForSequenceClassification", [1], {"0": "a"}])
def test_architectures_of_another_kind_are_refused(plain: Path, architectures: Any) -> None:
    """A list of class names is expected."""
    edit_config(plain, architectures=architectures)
    assert "config.json: architectures: expected a list of class names, found " in refusal(plain)


def test_a_causal_language_model_is_named_as_such(plain: Path) -> None:
    """A reranker that answers yes or no has no classifier head."""
    edit_config(plain, architectures=["Qwen3ForCausalLM"])
    assert refusal(plain) == (
        "acme/base/config.json: architectures: expected a …ForSequenceClassification, found Qwen3ForCausalLM: a causal "
        "language model, which as a reranker scores with the logits of two tokens (yes and no). That is not supported: "
        "use a checkpoint that was converted to …ForSequenceClassification."
    )


def test_a_type_that_transformers_does_not_know_is_named(plain: Path, tables: dict[str, str | None]) -> None:
    """Such a checkpoint cannot be built here, so nothing is pinned."""
    tables["configuration_auto.py"] = '("bert", "BertConfig"),'
    edit_config(plain, model_type="eurobert")
    assert "config.json: model_type: eurobert is not known to transformers 4.57.6, which is installed" in refusal(plain)
    edit_config(plain, model_type="bert")
    assert checkpoint.inspect(plain).model_type == "bert"


def test_a_tokenizer_class_of_a_newer_transformers_is_named(plain: Path, tables: dict[str, str | None]) -> None:
    """transformers 5 saves generic tokenizers under a class that transformers 4 has not."""
    tables["tokenization_auto.py"] = '("bert", ("BertTokenizer", "BertTokenizerFast")), PreTrainedTokenizerFast'
    edit_config(plain, "tokenizer_config.json", tokenizer_class="TokenizersBackend")
    assert refusal(plain) == (
        "acme/base/tokenizer_config.json: tokenizer_class: TokenizersBackend does not exist in transformers 4.57.6, "
        "which is installed here. transformers 5 saved it. transformers 4 does the same with "
        '`"tokenizer_class": "PreTrainedTokenizerFast", "model_input_names": ["input_ids", "attention_mask"]` in that '
        "file."
    )
    for name in ("BertTokenizer", "BertTokenizerFast", "PreTrainedTokenizerFast"):
        edit_config(plain, "tokenizer_config.json", tokenizer_class=name)
        assert checkpoint.inspect(plain).max_length == 64
    tables["tokenization_auto.py"] = 'if class_name == "TokenizersBackend"'
    for name in ("TokenizersBackend", "AnyOther"):
        edit_config(plain, "tokenizer_config.json", tokenizer_class=name)
        assert checkpoint.inspect(plain).max_length == 64


def test_without_transformers_nothing_is_refused_for_its_sake(plain: Path, tables: dict[str, str | None]) -> None:
    """A machine that only lists and publishes needs no toolchain."""
    assert tables == {}
    edit_config(plain, model_type="brand-new")
    assert checkpoint.inspect(plain).model_type == "brand-new"


def test_a_token_without_an_embedding_is_named(plain: Path) -> None:
    """It would end the stage `reference` in an index error, or return what lies behind the table."""
    edit_config(plain, vocab_size=6)
    assert refusal(plain) == (
        "acme/base/config.json: vocab_size: the model has embeddings for 6 tokens, and the tokenizer gives 'b' the id "
        "6. Take the tokenizer of this model, or enlarge the model with "
        "`model.resize_token_embeddings(len(tokenizer))` and train it."
    )


def test_a_token_type_without_an_embedding_is_named(tmp_path: Path) -> None:
    """A tokenizer of BERT beside a model of RoBERTa."""
    folder = plain_checkpoint(tmp_path / "plain", type_vocab_size=1)
    assert refusal(folder) == (
        "acme/base/config.json: type_vocab_size: the model has embeddings for 1 token type(s), and the tokenizer gives "
        'the type 1. If the model was trained without types, set `"model_input_names": ["input_ids", '
        '"attention_mask"]` in tokenizer_config.json.'
    )
    edit_config(folder, "tokenizer_config.json", model_input_names=["input_ids", "attention_mask"])
    assert checkpoint.inspect(folder).max_length == 64


@pytest.mark.parametrize("segments", [0, None])
def test_a_model_without_segment_embeddings_takes_any_type(tmp_path: Path, segments: int | None) -> None:
    """DeBERTa-v3 has none, DistilBERT and MPNet do not even say so."""
    folder = plain_checkpoint(tmp_path / "plain", type_vocab_size=segments)
    assert checkpoint.inspect(folder).max_length == 64


@pytest.mark.parametrize("found", [None, 5])
def test_a_decoder_needs_the_padding_of_its_tokenizer(tmp_path: Path, found: int | None) -> None:
    """Its head reads the last token that is not padding; transformers refuses batches without one."""
    folder = plain_checkpoint(tmp_path / "plain", tensors=SCORE, **LLAMA)
    assert checkpoint.inspect(folder).architecture == "LlamaForSequenceClassification"
    edit_config(folder, pad_token_id=found)
    assert refusal(folder) == (
        f"acme/base/config.json: pad_token_id: expected 0, the id of the tokenizer's '[PAD]', found "
        f"{'none' if found is None else found}: the head of a decoder reads the last token that is not padding. "
        "Set `model.config.pad_token_id = 0` and save the model."
    )


def test_a_tokenizer_without_padding_is_refused(tmp_path: Path) -> None:
    """No token is made up where none was trained."""
    folder = plain_checkpoint(tmp_path / "plain", tensors=SCORE, **LLAMA)
    edit_config(folder, "tokenizer_config.json", pad_token=None, tokenizer_class="LlamaTokenizerFast")
    assert refusal(folder) == (
        "acme/base/tokenizer_config.json: pad_token: expected the token to pad with, found none. Set one that the "
        "model was trained with (`tokenizer.pad_token = tokenizer.eos_token` is usual for decoders), and save the "
        "tokenizer."
    )


@pytest.mark.parametrize("token", ["[SEP]", {"content": "[SEP]", "lstrip": False}])
def test_the_padding_may_stand_in_the_map_of_special_tokens_alone(plain: Path, token: Any) -> None:
    """Older RoBERTa tokenizers have it there; tokenizer_config.json decides where both have it."""
    write_json(plain / "special_tokens_map.json", {"pad_token": token})
    assert declared(plain).pad_token == "[PAD]"
    edit_config(plain, "tokenizer_config.json", pad_token=None)
    found = declared(plain)
    assert (found.pad_token, found.pad_token_id) == ("[SEP]", 3)


def test_the_padding_of_a_class_is_known(plain: Path) -> None:
    """RoBERTa's is another than BERT's; DeBERTa's is that of BERT, in both versions."""
    edit_config(plain, "tokenizer_config.json", pad_token=None, tokenizer_class="DebertaV2Tokenizer")
    assert declared(plain).pad_token == "[PAD]"
    edit_config(plain, "tokenizer_config.json", pad_token=None, tokenizer_class="RobertaTokenizer")
    assert "the model has embeddings for 7 tokens, and the tokenizer gives '<pad>' the id 7." in refusal(plain)


def test_sides_reach_the_runtime(plain: Path) -> None:
    """Both are settings of transformers that a tokenizer.json does not hold."""
    edit_config(plain, "tokenizer_config.json", padding_side="left", truncation_side="left")
    found = declared(plain)
    assert (found.padding_side, found.truncation_side) == ("left", "left")
    edit_config(plain, "tokenizer_config.json", truncation_side="middle")
    assert refusal(plain) == (
        "acme/base/tokenizer_config.json: truncation_side: expected left or right, found 'middle'."
    )


@pytest.mark.parametrize("limit", [1e30, 10**30, 10**400, 0, None])
def test_a_limit_that_is_none_leaves_the_positions(plain: Path, limit: Any) -> None:
    """transformers writes 1e30 where a tokenizer knows no limit."""
    edit_config(plain, "tokenizer_config.json", model_max_length=limit)
    assert checkpoint.inspect(plain).max_length == 64


@pytest.mark.parametrize("limit", [-1, "512", True, [], float("nan"), 0.5])
def test_a_limit_that_is_no_number_of_tokens_is_refused(plain: Path, limit: Any) -> None:
    """A value of another kind is named, not read as something."""
    edit_config(plain, "tokenizer_config.json", model_max_length=limit)
    assert refusal(plain) == (
        f"acme/base/tokenizer_config.json: model_max_length: expected a number of tokens, found {limit!r}."
    )


def test_positions_of_other_names_are_read(tmp_path: Path) -> None:
    """GPT-2 calls them n_positions."""
    folder = plain_checkpoint(tmp_path / "plain", max_position_embeddings=None, n_positions=48)
    assert checkpoint.inspect(folder).max_length == 48


@pytest.mark.parametrize(
    ("config", "length"),
    [
        ({}, 704),
        ({"num_random_blocks": 1, "block_size": 16}, 112),
        ({"attention_type": "original_full"}, 4096),
    ],
)
def test_big_bird_is_cut_to_texts_that_it_reads_as_a_whole(tmp_path: Path, config: dict[str, Any], length: int) -> None:
    """What it makes of longer ones depends on the texts before them."""
    folder = plain_checkpoint(
        tmp_path / "plain",
        model_type="big_bird",
        max_position_embeddings=4096,
        **config,
    )
    assert checkpoint.inspect(folder).max_length == length


@pytest.mark.parametrize("model_type", sorted(REASONS))
def test_a_type_that_cannot_be_built_is_refused_with_the_reason(tmp_path: Path, model_type: str) -> None:
    """Whatever else the checkpoint holds."""
    folder = plain_checkpoint(tmp_path / "plain", model_type=model_type)
    assert refusal(folder) == (
        f"acme/base/config.json: model_type: {model_type} is not supported: {REASONS[model_type]}."
    )


def test_the_head_of_perceiver_is_its_decoder(tmp_path: Path) -> None:
    """No tensor has the name that other heads have."""
    tensors = {"perceiver.decoder.decoder.output_layer.weight": (1, 4)}
    folder = plain_checkpoint(
        tmp_path / "plain",
        tensors=tensors,
        model_type="perceiver",
        architectures=["PerceiverForSequenceClassification"],
    )
    assert checkpoint.inspect(folder).architecture == "PerceiverForSequenceClassification"


@pytest.mark.parametrize(("model_type", "padded"), [("bert", True), ("fnet", False), ("convbert", False)])
def test_types_whose_scores_padding_changes_are_not_padded(tmp_path: Path, model_type: str, padded: bool) -> None:
    """Their batches hold texts of one length."""
    folder = plain_checkpoint(tmp_path / "plain", model_type=model_type)
    assert checkpoint.inspect(folder).padded is padded
