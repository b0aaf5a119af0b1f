"""Small tokenizers of the kind that each model type has, trained on the demo's texts, without a download.

Where transformers' own class of a model type can be trained, it is; a type whose own tokenizer is written in Python
alone, or needs a package that is not installed, gets a tokenizer.json of the same kind.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

TEXTS = Path(__file__).resolve().parents[1] / "registry/demo/pairs.jsonl"
VOCABULARY = 480
LENGTH = 128  # tokens
BERT = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
ROBERTA = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
ONLY_IDS = ["input_ids", "attention_mask"]
# Types whose own class cannot be trained here: what stands in for it.
STAND_INS: dict[str, str] = {
    **dict.fromkeys(("esm", "layoutlmv2", "roc_bert", "roformer"), "wordpiece"),
    **dict.fromkeys(("biogpt", "ctrl", "flaubert", "xlm"), "word-bpe"),
    **dict.fromkeys(("layoutlmv3", "luke", "markuplm", "yoso"), "byte-bpe"),
    **dict.fromkeys(("bigbird_pegasus", "mbart", "plbart", "rembert", "t5gemma", "t5gemma2", "umt5"), "t5"),
    **dict.fromkeys(("modernbert", "modernvbert"), "modernbert"),
    "eurobert": "modernbert",
    "canine": "characters",
    "perceiver": "characters",
    "tapas": "wordpiece-without-types",
}


def tokenizer_of(model_type: str) -> Any:
    """A tokenizer for `model_type`; one without a padding token pads with its last special token."""
    import transformers
    from transformers.models.auto.tokenization_auto import TOKENIZER_MAPPING_NAMES

    name = TOKENIZER_MAPPING_NAMES.get(model_type)
    if model_type in STAND_INS:
        made = KINDS[STAND_INS[model_type]]()
    elif name is None or name == "TokenizersBackend":
        made = decoder_bpe()
    else:
        made = getattr(transformers, name)().train_new_from_iterator(texts(), VOCABULARY)
    made.model_max_length = LENGTH
    if made.pad_token is None:
        made.pad_token = made.eos_token or made.unk_token
    return made


def texts() -> list[str]:
    """The demo's queries and passages, then printable ASCII, so that every such character has a token."""
    rows = [json.loads(line) for line in TEXTS.read_text(encoding="utf-8").splitlines()]
    ascii_characters = " ".join(chr(code) for code in range(33, 127))
    return [row[key] for row in rows for key in ("query", "passage")] + [ascii_characters]


def wordpiece(*, types: bool = True) -> Any:
    """As BERT's."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    made.normalizer, made.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    made.train_from_iterator(texts(), trainers.WordPieceTrainer(vocab_size=VOCABULARY, special_tokens=list(BERT)))
    second = "$B:1 [SEP]:1" if types else "$B [SEP]"
    inputs = ["input_ids", "token_type_ids", "attention_mask"] if types else ONLY_IDS
    return _wrapped(made, BERT, "[CLS] $A [SEP]", second, inputs)


def byte_bpe() -> Any:
    """As RoBERTa's."""
    return _wrapped(_byte_bpe(list(ROBERTA)), ROBERTA, "<s> $A </s>", "</s> $B </s>", ONLY_IDS)


def modernbert() -> Any:
    """Bytes with BERT's special tokens."""
    return _wrapped(_byte_bpe(list(BERT)), BERT, "[CLS] $A [SEP]", "$B [SEP]", ONLY_IDS)


def decoder_bpe() -> Any:
    """As Llama 3's: one token at the beginning, none between the two texts."""
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    special = ["<|begin|>", "<|end|>", "<|pad|>"]
    made = _byte_bpe(special)
    made.post_processor = TemplateProcessing(
        single="<|begin|> $A", pair="<|begin|> $A $B", special_tokens=[("<|begin|>", 0)]
    )
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=made, bos_token=special[0], eos_token=special[1], pad_token=special[2],
        model_input_names=ONLY_IDS,
    )  # fmt: skip


def word_bpe() -> Any:
    """As XLM's: BPE of words, with an end of word."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    made = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    made.normalizer, made.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.BertPreTokenizer()
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, special_tokens=list(ROBERTA), end_of_word_suffix="</w>")
    made.train_from_iterator(texts(), trainer)
    return _wrapped(made, ROBERTA, "<s> $A </s>", "$B </s>", ONLY_IDS)


def t5() -> Any:
    """As T5's: unigrams, and an end behind each text."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    special = ["<pad>", "</s>", "<unk>"]
    made = Tokenizer(models.Unigram())
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=VOCABULARY, special_tokens=special, unk_token="<unk>")
    made.train_from_iterator(texts(), trainer)
    made.post_processor = TemplateProcessing(single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=made, pad_token=special[0], eos_token=special[1], unk_token=special[2],
        model_input_names=ONLY_IDS,
    )  # fmt: skip


def characters() -> Any:
    """One token a character: CANINE's code points and Perceiver's bytes, as far as ASCII."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers

    vocabulary = {token: i for i, token in enumerate((*BERT, *map(chr, range(32, 127))))}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    inputs = ["input_ids", "token_type_ids", "attention_mask"]
    return _wrapped(made, BERT, "[CLS] $A [SEP]", "$B:1 [SEP]:1", inputs)


def _byte_bpe(special: list[str]) -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(
        texts(), trainers.BpeTrainer(vocab_size=VOCABULARY, special_tokens=special, initial_alphabet=alphabet)
    )
    return made


def _wrapped(made: Any, special: tuple[str, ...], single: str, second: str, inputs: list[str]) -> Any:
    """The tokenizer with its template and names; `special` as in BERT or ROBERTA."""
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    begin, pad, end, unknown, mask = special if special is ROBERTA else (special[i] for i in (2, 0, 3, 1, 4))
    tokens = [(token, made.token_to_id(token)) for token in (begin, end)]
    made.post_processor = TemplateProcessing(single=single, pair=f"{single} {second}", special_tokens=tokens)
    names = {"cls_token": begin, "pad_token": pad, "sep_token": end, "unk_token": unknown, "mask_token": mask}
    if special is ROBERTA:
        names |= {"bos_token": begin, "eos_token": end}
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=made, model_input_names=inputs, **names
    )


KINDS: dict[str, Callable[[], Any]] = {
    "byte-bpe": byte_bpe,
    "characters": characters,
    "modernbert": modernbert,
    "t5": t5,
    "word-bpe": word_bpe,
    "wordpiece": wordpiece,
    "wordpiece-without-types": lambda: wordpiece(types=False),
}
