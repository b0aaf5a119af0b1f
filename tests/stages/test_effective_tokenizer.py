"""Checkpoints whose tokenizer.json is not what transformers uses, or that have none: published is what it uses.

Each is written by the real libraries, and its published files are loaded by CrossEncoder and by the runtime.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer
from tokenizers.pre_tokenizers import ByteLevel

from artificer.inference.tokenization import TextTokenizer
from stages.core import paths
from stages.peer.effective_tokenizer import same_parts
from stages.records.model_spec import load_spec
from stages.records.published_files import PublishedFiles, load_published
from stages.registry.checkpoint.tokenizer_fit import WITH_TYPES
from tests.stages import project
from tests.stages.checkpoints import assert_add_refuses, edit_config, tiny_bert, words
from tests.stages.conftest import Stages

pytestmark = pytest.mark.toolchain
FOLDER = Path("checkpoints", project.SLUG)
LENGTH = 128
TEXTS = [("Über CAFÉ naïve", "日本 x"), ("how do [NEW] plants eat", "light, water"), ("", "b" * 300)]
VOCABULARY = "the checkpoint has none: transformers converted its vocabulary"
OTHER = "transformers changes what is in the checkpoint's file as it loads it"


def reference(stages: Stages) -> PublishedFiles:
    """Add the checkpoint, run the stages up to `reference`, and compare every token with CrossEncoder's on the source
    and on the published files."""
    assert stages("add", FOLDER.as_posix(), "--slug", project.SLUG, "--license", "mit")[::2] == (0, "")
    for name in ("fetch", "data", "reference"):
        code, _, error = stages(name, project.SLUG)
        assert (code, error) == (0, ""), error
    found, folder = load_published(project.SLUG), paths.published_files(project.SLUG)
    ours = TextTokenizer.from_file(
        folder / "tokenizer.json", found.tokenizer, max_length=LENGTH,
        inputs=("input_ids", "attention_mask", "token_type_ids"),
    )  # fmt: skip
    assert load_spec(project.SLUG).max_length == LENGTH
    source, published = cross_encoder(FOLDER), cross_encoder(with_weights(folder))
    for pair in TEXTS:
        theirs = source.preprocess([list(pair)])
        assert ours.encode([pair]).ids[0].tolist() == theirs["input_ids"][0].tolist()
        again = published.preprocess([list(pair)])
        assert again["input_ids"].tolist() == theirs["input_ids"].tolist()
        assert set(again) == set(theirs)
    assert source.predict(TEXTS).tolist() == published.predict(TEXTS).tolist()
    return found


def cross_encoder(folder: Path) -> Any:
    """The model as a user loads it."""
    from sentence_transformers import CrossEncoder

    return CrossEncoder(str(folder), device="cpu", local_files_only=True, max_length=LENGTH)


def with_weights(folder: Path) -> Path:
    """A copy of the published files with the weights beside them."""
    target = shutil.copytree(folder, Path("with-weights"), dirs_exist_ok=True)
    shutil.copyfile(FOLDER / "model.safetensors", target / "model.safetensors")
    return target


def edit_tokenizer(change: Callable[[Tokenizer], None]) -> None:
    """Change the checkpoint's tokenizer.json."""
    path = str(FOLDER / "tokenizer.json")
    tokenizer = Tokenizer.from_file(path)
    change(tokenizer)
    tokenizer.save(path)


def test_a_tokenizer_that_says_what_transformers_does_is_published_as_it_came(root: Path, stages: Stages) -> None:
    """Byte for byte, and nothing is noted."""
    tiny_bert(root / FOLDER)
    found = reference(stages)
    assert found.rewritten == {}
    published = paths.published_files(project.SLUG)
    assert (published / "tokenizer.json").read_bytes() == (FOLDER / "tokenizer.json").read_bytes()
    assert not (published / "model.safetensors").exists()


@pytest.mark.parametrize(
    "settings", [{"do_lower_case": False}, {"strip_accents": False}, {"tokenize_chinese_chars": False}]
)
def test_settings_that_override_the_normalizer_are_published(
    root: Path, stages: Stages, settings: dict[str, Any]
) -> None:
    """transformers' classes of BERT take them from tokenizer_config.json; what they make of it is written down."""
    tiny_bert(root / FOLDER)
    edit_config(FOLDER, "tokenizer_config.json", **settings)
    found = reference(stages)
    assert found.rewritten == {"tokenizer.json": OTHER}
    normalizer = project.read_json(paths.published_files(project.SLUG) / "tokenizer.json")["normalizer"]
    assert False in normalizer.values()


def test_a_class_that_transformers_4_does_not_know_gets_its_other_name(root: Path, stages: Stages) -> None:
    """transformers 5 writes the name of its own for a generic fast tokenizer."""
    tiny_bert(root / FOLDER)
    edit_config(
        FOLDER,
        "tokenizer_config.json",
        tokenizer_class="TokenizersBackend",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )
    found = reference(stages)
    assert set(found.rewritten) == {"tokenizer_config.json"}
    published = project.read_json(paths.published_files(project.SLUG) / "tokenizer_config.json")
    assert published["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert published | {"tokenizer_class": "TokenizersBackend"} == project.read_json(FOLDER / "tokenizer_config.json")


def test_an_added_token_of_the_configuration_is_published(root: Path, stages: Stages) -> None:
    """It stands in tokenizer_config.json alone; the vocabulary has an embedding to spare."""
    tiny_bert(root / FOLDER, vocab_size=len(words()) + 1)
    token = {"content": "[NEW]", "special": True, "lstrip": False, "rstrip": False, "single_word": False}
    edit_config(
        FOLDER, "tokenizer_config.json", added_tokens_decoder={str(len(words())): token | {"normalized": False}}
    )
    found = reference(stages)
    assert found.rewritten == {"tokenizer.json": OTHER}
    tokenizer = Tokenizer.from_file(str(paths.published_files(project.SLUG) / "tokenizer.json"))
    assert tokenizer.token_to_id("[NEW]") == len(words())


def test_types_that_the_tokenizer_does_not_return_are_zeros(root: Path, stages: Stages) -> None:
    """The model then takes zeros, also where a graph has an input for them."""
    tiny_bert(root / FOLDER)
    edit_config(FOLDER, "tokenizer_config.json", model_input_names=["input_ids", "attention_mask"])
    found = reference(stages)
    assert "returns no token types" in found.rewritten["tokenizer.json"]
    tokenizer = Tokenizer.from_file(str(paths.published_files(project.SLUG) / "tokenizer.json"))
    assert set(tokenizer.encode("a b", "c").type_ids) == {0}


def test_a_class_of_another_model_returns_no_types(root: Path, stages: Stages) -> None:
    """transformers 5 reads it with its generic class, whatever the name says."""
    tiny_bert(root / FOLDER, type_vocab_size=1)
    edit_config(FOLDER, "tokenizer_config.json", tokenizer_class="ElectraTokenizer")
    assert "returns no token types" in reference(stages).rewritten["tokenizer.json"]


def test_lower_case_that_sentence_transformers_adds_is_published(root: Path, stages: Stages) -> None:
    """`do_lower_case` of sentence_bert_config.json is known to sentence-transformers alone."""
    tiny_bert(root / FOLDER)
    edit_config(FOLDER, "tokenizer_config.json", do_lower_case=False)
    cross_encoder(FOLDER).save_pretrained("saved")
    shutil.rmtree(FOLDER)
    shutil.copytree("saved", FOLDER)
    edit_config(FOLDER, "sentence_bert_config.json", do_lower_case=True)
    assert reference(stages).rewritten == {"tokenizer.json": OTHER}


def test_a_prefix_space_of_the_configuration_is_published(root: Path, stages: Stages) -> None:
    """RoBERTa's class takes `add_prefix_space` from tokenizer_config.json."""
    tiny_roberta(root / FOLDER)
    edit_config(FOLDER, "tokenizer_config.json", add_prefix_space=True)
    edit_tokenizer(lambda tokenizer: setattr(tokenizer, "pre_tokenizer", ByteLevel(add_prefix_space=False)))
    assert reference(stages).rewritten == {"tokenizer.json": OTHER}


def test_vocab_txt_alone_is_converted(root: Path, stages: Stages) -> None:
    """As checkpoints of 2019 are: no tokenizer.json, no tokenizer_config.json."""
    tiny_bert(root / FOLDER)
    (FOLDER / "tokenizer.json").unlink()
    (FOLDER / "tokenizer_config.json").unlink()
    found = reference(stages)
    assert found.rewritten == {"tokenizer.json": VOCABULARY}
    assert (found.tokenizer.pad_token, found.tokenizer.pad_token_id) == ("[PAD]", 0)


def test_a_vocabulary_with_merges_is_converted(root: Path, stages: Stages) -> None:
    """vocab.json and merges.txt, as RoBERTa's; the padding token stands in special_tokens_map.json alone."""
    tiny_roberta(root / FOLDER)
    (FOLDER / "tokenizer.json").unlink()
    edit_config(FOLDER, "tokenizer_config.json", pad_token=None)
    (FOLDER / "special_tokens_map.json").write_text('{"pad_token": "<pad>"}')
    found = reference(stages)
    assert found.rewritten == {"tokenizer.json": VOCABULARY}
    assert found.tokenizer.pad_token == "<pad>"


@pytest.mark.parametrize(("kind", "file"), [("XLMRoberta", "sentencepiece.bpe.model"), ("Albert", "spiece.model")])
def test_a_sentencepiece_model_is_converted(root: Path, stages: Stages, kind: str, file: str) -> None:
    """What sentencepiece trained, without tokenizer.json."""
    tiny_sentencepiece(root / FOLDER, kind, file)
    assert reference(stages).rewritten == {"tokenizer.json": VOCABULARY}


def test_the_same_checkpoint_gives_the_same_bytes(root: Path, stages: Stages) -> None:
    """The published tokenizer is hashed."""
    tiny_bert(root / FOLDER)
    edit_config(FOLDER, "tokenizer_config.json", do_lower_case=False)
    reference(stages)
    before = project.snapshot(paths.published(project.SLUG))
    assert stages("reference", project.SLUG)[0] == 0
    assert project.snapshot(paths.published(project.SLUG)) == before
    made = before["files/tokenizer.json"]
    assert json.loads(made)["truncation"] is None
    assert not same_parts(made, (FOLDER / "tokenizer.json").read_bytes())


def test_a_vocabulary_that_transformers_cannot_convert_is_refused_by_add(root: Path, stages: Stages) -> None:
    """In one message, with transformers' own reason; nothing is pinned."""
    tiny_sentencepiece(root / FOLDER, "XLMRoberta", "sentencepiece.bpe.model")
    (FOLDER / "sentencepiece.bpe.model").write_text("no model of sentencepiece")
    assert_add_refuses(stages, "tokenizer.json is missing, and transformers cannot convert the vocabulary: ")


def test_a_vocabulary_that_the_class_does_not_read_is_refused_by_add(root: Path, stages: Stages) -> None:
    """transformers would make a tokenizer that knows its special tokens alone."""
    tiny_bert(root / FOLDER)
    (FOLDER / "tokenizer.json").unlink()
    (FOLDER / "vocab.txt").rename(FOLDER / "spiece.model")
    message = "tokenizer.json is missing, and so is vocab.txt, which transformers' BertTokenizer converts."
    assert_add_refuses(stages, message)


def test_a_converted_vocabulary_must_fit_the_model(root: Path, stages: Stages) -> None:
    """`add` converts it, and compares it with the model as it does a tokenizer.json."""
    tiny_bert(root / FOLDER, vocab_size=100)
    (FOLDER / "tokenizer.json").unlink()
    assert_add_refuses(stages, "vocab_size: the model has embeddings for 100 tokens, and the tokenizer gives ")


def test_the_classes_that_return_types_are_those_of_transformers() -> None:
    """`add` knows them without importing the library."""
    import transformers
    from transformers.models.auto.tokenization_auto import TOKENIZER_MAPPING_NAMES

    classes = {name: getattr(transformers, name, None) for name in TOKENIZER_MAPPING_NAMES.values() if name}
    names = {name for name, found in classes.items() if "token_type_ids" in inputs_of(found)}
    assert {name.removesuffix("Fast").removesuffix("Tokenizer") for name in names} == set(WITH_TYPES)


def inputs_of(tokenizer_class: Any) -> list[str]:
    """What a class returns; nothing where it needs a package that is not installed."""
    try:
        return list(tokenizer_class.model_input_names)
    except (AttributeError, ImportError):
        return []


def tiny_roberta(folder: Path) -> None:
    """A RoBERTa of one layer with a byte-level vocabulary of the demo's words."""
    from tokenizers import ByteLevelBPETokenizer
    from transformers import RobertaTokenizer

    folder.mkdir(parents=True)
    trained = ByteLevelBPETokenizer()
    trained.train_from_iterator([" ".join(words())], vocab_size=400, special_tokens=["<s>", "<pad>", "</s>", "<unk>"])
    trained.save_model(str(folder))
    vocabulary = json.loads((folder / "vocab.json").read_text())
    merges: Any = [tuple(line.split()) for line in (folder / "merges.txt").read_text().splitlines()[1:]]
    RobertaTokenizer(vocab=vocabulary, merges=merges, model_max_length=LENGTH).save_pretrained(folder)
    save_model(folder, "Roberta", vocab_size=1000, type_vocab_size=1)


def tiny_sentencepiece(folder: Path, kind: str, file: str) -> None:
    """A model of that kind of one layer, beside a vocabulary that sentencepiece trained and no tokenizer.json."""
    import sentencepiece

    folder.mkdir(parents=True)
    text = folder / "words.txt"
    text.write_text("\n".join([*words()] * 4))
    options: dict[str, Any] = {"vocab_size": 200, "hard_vocab_limit": False, "minloglevel": 2}
    if kind == "Albert":
        options |= {"pad_id": 0, "unk_id": 1, "bos_id": 2, "eos_id": 3, "control_symbols": ["[MASK]"]}
        options |= {"pad_piece": "<pad>", "unk_piece": "<unk>", "bos_piece": "[CLS]", "eos_piece": "[SEP]"}
    sentencepiece.SentencePieceTrainer.train(input=str(text), model_prefix=str(folder / "m"), **options)
    (folder / "m.model").rename(folder / file)
    text.unlink()
    (folder / "m.vocab").unlink()
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": f"{kind}Tokenizer"}))
    save_model(folder, kind, vocab_size=400, embedding_size=32, type_vocab_size=2 if kind == "Albert" else 1)


def save_model(folder: Path, kind: str, **more: int) -> None:
    """A classifier of that kind of one layer with random weights; as many positions as RoBERTa needs for 128 tokens."""
    import torch
    import transformers

    torch.manual_seed(1)
    config = getattr(transformers, f"{kind}Config")(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64, num_labels=1,
        max_position_embeddings=130 if "oberta" in kind else LENGTH, pad_token_id=1, initializer_range=0.2, **more,
    )  # fmt: skip
    getattr(transformers, f"{kind}ForSequenceClassification")(config).save_pretrained(folder)
