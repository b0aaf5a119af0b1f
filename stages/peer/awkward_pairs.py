"""Texts on which tokenizers differ: every checkpoint's tokenizer is compared with sentence-transformers' on them."""

from collections.abc import Iterable

_PAIRS: tuple[tuple[str, str], ...] = (
    ("", ""),
    ("", "a passage without a query"),
    ("a query without a passage", ""),
    (" \t\n ", "  "),
    ("Ünïcödé ÀCCENTS é e\u0301 ﬁ ﬂ", "naïve café, Straße, İstanbul"),
    ("UPPER lower MiXeD", "camelCaseIdentifier SNAKE_CASE kebab-case"),
    ("日本語の質問 中文问题 한국어", "こんにちは、世界。你好\uff0c世界\uff01안녕하세요"),
    ("שלום עולם", "مرحبا بالعالم ١٢٣"),
    ("हिन्दी ภาษาไทย", "Ελληνικά Русский հայերեն"),
    ("👍🏽 👩‍👩‍👧 🏳️‍🌈", "😀 emoji\u200d joined"),
    ("control \x01\x02\x7f characters", "zero\u200bwidth, soft\u00adhyphen, nb\u00a0space, line\u2028separator"),
    ("[CLS] [SEP] [MASK] [PAD] [UNK]", "<s> </s> <pad> <unk> <mask> <|endoftext|>"),
    ("x" * 300, "a" + "b" * 2000),
    ("1,234.56 10^-3 C++ f(x)=y", "https://example.org/a?b=c&d=%20 user@example.org"),
)


_MOST_ADDED = 200  # some checkpoints have a thousand unused ones


def awkward_pairs(max_length: int, added_tokens: Iterable[str] = ()) -> tuple[tuple[str, str], ...]:
    """The pairs; the last ones are too long for a model of this length. Each added token is written out in a text: two
    tokenizers with one vocabulary may differ in those.

    They are not much too long: of two texts that are cut, the library combines all pieces of one with all of the other,
    which for texts of 10,000 words and a length of 128 is more than 20 GB.
    """
    long = "a word and another one, " * (max_length // 4)
    added = ((f"a {token} b", f"{token}c") for token in sorted(added_tokens)[:_MOST_ADDED])
    return (*_PAIRS, *added, ("a short query", long), (long, "a short passage"), (long, long))
