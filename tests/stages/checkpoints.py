"""Tiny checkpoints with random weights, written as `save_pretrained` writes trained ones."""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.stages.project import DEMO, SLUG

# What `tiny_bert` writes for its default arguments, stored so that most tests need no torch.
STORED = Path(__file__).with_name("tiny_bert")
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
SIGMOID = "torch.nn.modules.activation.Sigmoid"
_SMALL: dict[str, Any] = {
    "vocab_size": 512,
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "num_labels": 1,
    "initializer_range": 0.2,
    "sentence_transformers": {"activation_fn": SIGMOID},
}


def tiny_bert(folder: Path, *, seed: int = 1, labels: int = 1, dtype: str = "float32", **config: Any) -> Path:
    """A BERT of two layers, 32 wide, whose logits spread over the demo pairs; the same bytes for the same arguments."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizer

    folder.mkdir(parents=True)
    (folder / "vocab.txt").write_text("\n".join(words()) + "\n", encoding="utf-8")
    vocabulary = {word: i for i, word in enumerate(words())}
    BertTokenizer(vocab=vocabulary, model_max_length=128).save_pretrained(folder)
    settings: dict[str, Any] = {
        "vocab_size": len(words()),
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "max_position_embeddings": 128,
        "num_labels": labels,
        "initializer_range": 0.2,
        **config,
    }
    if labels == 1:
        settings.setdefault("sentence_transformers", {"activation_fn": SIGMOID})
    torch.manual_seed(seed)
    model = BertForSequenceClassification(BertConfig(**settings))  # type: ignore[no-untyped-call]
    model.to(getattr(torch, dtype)).save_pretrained(folder, safe_serialization=True)
    return folder


def tiny_xlm_roberta(folder: Path, *, seed: int = 1, positions: int = 8194) -> Path:
    """An XLM-R of one layer, 32 wide: no segment ids, and positions that begin behind the padding id, as bge-m3's."""
    from transformers import XLMRobertaConfig, XLMRobertaForSequenceClassification

    _word_tokenizer(folder, ("<s>", "<pad>", "</s>", "<unk>"), "<s> $A </s> </s> $B </s>", positions - 2)
    settings = {**_SMALL, "type_vocab_size": 1, "max_position_embeddings": positions, "pad_token_id": 1}
    _save(
        folder, XLMRobertaForSequenceClassification, XLMRobertaConfig, seed, bos_token_id=0, eos_token_id=2, **settings
    )
    return folder


def tiny_modernbert(folder: Path, *, seed: int = 1, positions: int = 8192) -> Path:
    """A ModernBERT of two layers, one that attends to all tokens and one to near ones; no segment ids."""
    from transformers import ModernBertConfig, ModernBertForSequenceClassification

    _word_tokenizer(folder, ("[CLS]", "[PAD]", "[SEP]", "[UNK]"), "[CLS] $A [SEP] $B [SEP]", positions)
    ids = {"cls_token_id": 0, "bos_token_id": 0, "pad_token_id": 1, "sep_token_id": 2, "eos_token_id": 2}
    settings = {**_SMALL, "num_hidden_layers": 2, "global_attn_every_n_layers": 2, "max_position_embeddings": positions}
    more = {"initializer_cutoff_factor": 2.0, "reference_compile": False}
    _save(folder, ModernBertForSequenceClassification, ModernBertConfig, seed, **settings, **ids, **more)
    return folder


def tiny_without_segments(folder: Path, kind: str, *, seed: int = 1) -> Path:
    """A DistilBERT or an MPNet of one layer, beside a generic tokenizer that returns token types for every model."""
    import transformers

    special = ("<s>", "<pad>", "</s>", "<unk>")
    _word_tokenizer(folder, special, "<s> $A </s> $B:1 </s>:1", 128)
    edit_config(folder, "tokenizer_config.json", model_input_names=["input_ids", "token_type_ids", "attention_mask"])
    distil = {"dim": 32, "hidden_dim": 64, "n_layers": 1, "n_heads": 2}
    more = distil if kind == "DistilBert" else {}
    model, config = (getattr(transformers, f"{kind}{end}") for end in ("ForSequenceClassification", "Config"))
    _save(folder, model, config, seed, **_SMALL, **more, max_position_embeddings=130, pad_token_id=1)
    return folder


def tiny_deberta(folder: Path, *, seed: int = 1) -> Path:
    """A DeBERTa-v2 of two layers as DeBERTa-v3's: relative positions in buckets, asked for in scripted branches."""
    from transformers import DebertaV2Config, DebertaV2ForSequenceClassification

    _word_tokenizer(folder, ("[CLS]", "[PAD]", "[SEP]", "[UNK]"), "[CLS] $A [SEP] $B [SEP]", 512)
    settings = {**_SMALL, "num_hidden_layers": 2, "max_position_embeddings": 512, "type_vocab_size": 0}
    positions = {"relative_attention": True, "position_buckets": 256, "pos_att_type": ["p2c", "c2p"]}
    _save(
        folder, DebertaV2ForSequenceClassification, DebertaV2Config, seed, **settings, **positions,
        norm_rel_ebd="layer_norm", share_att_key=True, position_biased_input=False, max_relative_positions=-1,
        pad_token_id=1,
    )  # fmt: skip
    return folder


def tiny_deberta_v1(folder: Path, *, seed: int = 1) -> Path:
    """The first DeBERTa, of two layers: relative positions without buckets."""
    from transformers import DebertaConfig, DebertaForSequenceClassification

    _word_tokenizer(folder, ("[CLS]", "[PAD]", "[SEP]", "[UNK]"), "[CLS] $A [SEP] $B [SEP]", 512)
    settings = {**_SMALL, "num_hidden_layers": 2, "max_position_embeddings": 512, "type_vocab_size": 0}
    positions = {"relative_attention": True, "max_relative_positions": 512, "pos_att_type": ["c2p", "p2c"]}
    more = {"position_biased_input": False, "pad_token_id": 1}
    _save(folder, DebertaForSequenceClassification, DebertaConfig, seed, **settings, **positions, **more)
    return folder


def _save(folder: Path, model: Any, config: Any, seed: int, **settings: Any) -> None:
    """Write a model of these classes with random weights; transformers' constructors have no types."""
    import torch

    torch.manual_seed(seed)
    model(config(**settings)).save_pretrained(folder, safe_serialization=True)


def plain_checkpoint(
    folder: Path,
    *,
    tensors: Mapping[str, tuple[int, ...]] | None = None,
    types: bool = True,
    **config: Any,
) -> Path:
    """The files of a checkpoint with weights of zeros, made without torch and transformers, to be inspected only.

    `tensors` are the shapes of its weights. With `types`, the tokenizer gives the second text of a pair the type 1.
    """
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.normalizers import BertNormalizer
    from tokenizers.pre_tokenizers import BertPreTokenizer
    from tokenizers.processors import TemplateProcessing

    folder.mkdir(parents=True)
    made = Tokenizer(WordLevel({token: i for i, token in enumerate((*SPECIAL, "a", "b"))}, unk_token="[UNK]"))
    made.normalizer, made.pre_tokenizer = BertNormalizer(), BertPreTokenizer()
    pair = "[CLS] $A [SEP] $B:1 [SEP]:1" if types else "[CLS] $A [SEP] $B [SEP]"
    made.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", pair=pair, special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    made.save(str(folder / "tokenizer.json"))
    settings = {
        "architectures": ["BertForSequenceClassification"],
        "model_type": "bert",
        "id2label": {"0": "LABEL_0"},
        "max_position_embeddings": 64,
        "pad_token_id": 0,
        "type_vocab_size": 2,
        "vocab_size": 7,
    }
    write_json(folder / "config.json", {key: v for key, v in (settings | config).items() if v is not None})
    write_json(folder / "tokenizer_config.json", {"tokenizer_class": "BertTokenizer", "pad_token": "[PAD]"})
    write_safetensors(folder / "model.safetensors", tensors or {"classifier.weight": (1, 4), "classifier.bias": (1,)})
    return folder


def write_safetensors(path: Path, tensors: Mapping[str, tuple[int, ...]]) -> None:
    """Float32 tensors of zeros with these shapes, in the format of safetensors."""
    header, end = {}, 0
    for name, shape in tensors.items():
        start, end = end, end + 4 * math.prod(shape)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(end))


def write_json(path: Path, value: Any) -> None:
    """Replace the file."""
    path.write_text(json.dumps(value), encoding="utf-8")


def add_outliers(folder: Path, factor: float, channels: int, *, of: str = "values") -> Path:
    """Make the first channels of every attention `factor` times larger, and what they meet so much smaller.

    `of="values"`: what the output's weights read; `of="queries"`: what the keys are multiplied with. torch's logits
    stay what they were, up to float rounding. int8 with one scale a tensor loses the other channels.
    """
    from safetensors.torch import load_file, save_file

    path = folder / "model.safetensors"
    weights = load_file(path)
    for name, weight in weights.items():
        if {"values": ".attention.self.value.", "queries": ".attention.self.query."}[of] in name:
            weight[:channels] *= factor
        elif of == "values" and name.endswith(".attention.output.dense.weight"):
            weight[:, :channels] /= factor
        elif of == "queries" and ".attention.self.key." in name:
            weight[:channels] /= factor
    save_file(weights, path, metadata={"format": "pt"})
    return folder


def edit_config(folder: Path, name: str = "config.json", **changes: Any) -> None:
    """Change keys of a JSON file of a checkpoint; None removes one."""
    path = folder / name
    config = json.loads(path.read_text(encoding="utf-8"))
    for key, value in changes.items():
        if value is None:
            config.pop(key, None)
        else:
            config[key] = value
    path.write_text(json.dumps(config), encoding="utf-8")


def _word_tokenizer(folder: Path, special: tuple[str, ...], pair: str, max_length: int) -> None:
    """A tokenizer of whole words; `special` are the first ids: beginning, padding, separator, unknown."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.normalizers import Lowercase
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    begin, pad, separator, unknown = special
    vocabulary = dict.fromkeys([*special, *words()])
    made = Tokenizer(WordLevel({word: i for i, word in enumerate(vocabulary)}, unk_token=unknown))
    made.normalizer, made.pre_tokenizer = Lowercase(), Whitespace()
    single = pair.partition("$A")[0] + f"$A {separator}"
    tokens = [(begin, 0), (separator, 2)]
    made.post_processor = TemplateProcessing(single=single, pair=pair, special_tokens=tokens)
    names = {"cls_token": begin, "pad_token": pad, "sep_token": separator, "unk_token": unknown}
    tokenizer = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=made,
        model_max_length=max_length,
        model_input_names=["input_ids", "attention_mask"],
        **names,
    )
    tokenizer.save_pretrained(folder)


def words() -> list[str]:
    """Special tokens, single characters as beginnings and continuations, and words of the demo's vocabulary."""
    demo = (DEMO / "reranker" / "vocab.txt").read_text(encoding="utf-8").split("\n")
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    common = [word for word in demo if word.isalpha() and len(word) > 3]
    return [*SPECIAL, *letters, *(f"##{letter}" for letter in letters), ".", ",", "?", *common[:400]]


def assert_add_refuses(stages: Callable[..., tuple[int, str, str]], message: str, code: int = 4) -> None:
    """`add` must fail with this message and leave the registry and its locks as they were."""
    found, _, err = stages("add", f"checkpoints/{SLUG}", "--license", "mit")
    assert found == code
    assert message in err, err
    assert err.startswith("error: ")
    assert "Traceback" not in err
    assert Path("registry/models.yaml").read_text() == "models: {}\n"
    assert [p.name for p in Path("registry/locks").iterdir()] == ["data-sets.json"]
