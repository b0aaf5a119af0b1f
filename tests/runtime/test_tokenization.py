from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from artificer.errors import InputError, ManifestError
from artificer.inference.tokenization import TextTokenizer
from artificer.manifest import TokenizerInfo
from tests.runtime.conftest import CHECKPOINT

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
INFO = TokenizerInfo(
    file="tokenizer.json", pad_token="[PAD]", pad_token_id=0, pad_token_type_id=0, padding_side="right"
)


@pytest.fixture(scope="module")
def peer() -> Any:
    """Transformers' own fast tokenizer of the checkpoint."""
    transformers = pytest.importorskip("transformers")
    return transformers.AutoTokenizer.from_pretrained(CHECKPOINT)


def ours(max_length: int = 512, info: TokenizerInfo = INFO, inputs: tuple[str, ...] = INPUTS) -> TextTokenizer:
    """The demo's tokenizer."""
    return TextTokenizer.from_file(CHECKPOINT / "tokenizer.json", info, max_length=max_length, inputs=inputs)


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=60) | st.lists(
    st.sampled_from(["tree", "Lake", "déjà", "42", "水", "[SEP]", "a" * 120]), max_size=40
).map(" ".join)


@pytest.mark.toolchain
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(pairs=st.lists(st.tuples(texts, texts), min_size=1, max_size=5), max_length=st.integers(8, 80))
def test_batches_equal_those_of_transformers(peer: Any, pairs: list[tuple[str, str]], max_length: int) -> None:
    """Ids, masks and segment ids are transformers' own, truncation and padding included."""
    tokenizer = ours(max_length)
    found = tokenizer.batch(tokenizer.encode(pairs), range(len(pairs)))
    expected = peer(
        [query for query, _ in pairs], [passage for _, passage in pairs],
        padding=True, truncation="longest_first", max_length=max_length, return_tensors="np",
    )  # fmt: skip
    for name in INPUTS:
        np.testing.assert_array_equal(found[name], expected[name])


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_end_that_is_cut_follows_the_manifest(side: Literal["left", "right"]) -> None:
    """A checkpoint may keep the end of a text that is too long, not its beginning."""
    info = TokenizerInfo(
        file="t", pad_token="[PAD]", pad_token_id=0, pad_token_type_id=0, padding_side="right", truncation_side=side
    )
    whole = ours().encode([("a", "b c d e f")]).ids[0].tolist()
    encoded = ours(8, info).encode([("a", "b c d e f")])
    # Three tokens stand before the passage: [CLS], a, [SEP].
    kept = whole[:3] + (whole[4:] if side == "left" else whole[3:-2] + whole[-1:])
    assert encoded.ids[0].tolist() == kept
    assert encoded.truncated.tolist() == [True]


def test_left_padding_and_segment_padding_follow_the_manifest() -> None:
    """The side, the id and the segment id of padding are data."""
    info = TokenizerInfo(file="t", pad_token="x", pad_token_id=7, pad_token_type_id=3, padding_side="left")
    tokenizer = ours(info=info)
    batch = tokenizer.batch(tokenizer.encode([("a", "b"), ("a b c", "d e f")]), [0, 1])
    assert batch["input_ids"][0, 0] == 7
    assert batch["token_type_ids"][0, 0] == 3
    assert batch["attention_mask"][0].tolist() == [0] * 4 + [1] * 5


def test_only_the_named_inputs_are_made() -> None:
    """A graph without segment ids is not given any."""
    tokenizer = ours(inputs=("input_ids", "attention_mask"))
    assert tuple(tokenizer.batch(tokenizer.encode([("a", "b")]), [0])) == ("input_ids", "attention_mask")


def test_a_batch_can_be_wider_than_its_pairs() -> None:
    """`pad_to` widens, and never cuts."""
    tokenizer = ours()
    encoded = tokenizer.encode([("a", "b")])
    assert tokenizer.batch(encoded, [0], pad_to=16)["input_ids"].shape == (1, 16)
    assert tokenizer.batch(encoded, [0], pad_to=2)["input_ids"].shape == (1, 5)


def test_truncated_pairs_are_flagged() -> None:
    """A pair of exactly max_length tokens is whole; one token more is not."""
    tokenizer = ours(max_length=8)
    whole, cut = ("a b c", "d e"), ("a b c", "d e f")
    encoded = tokenizer.encode([whole, cut])
    assert encoded.lengths.tolist() == [8, 8]
    assert encoded.truncated.tolist() == [False, True]


def test_an_input_that_texts_do_not_give_is_refused() -> None:
    """A graph that wants more than token arrays is not guessed at."""
    with pytest.raises(ManifestError, match="bbox"):
        ours(inputs=("input_ids", "bbox"))


def test_a_lone_surrogate_is_an_input_error() -> None:
    """The Rust side cannot take it; the caller gets a typed error."""
    with pytest.raises(InputError, match="cannot be tokenized"):
        ours().encode([("\ud800", "b")])


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.text("abc ", max_size=30), st.text("abc ", max_size=30)), min_size=1, max_size=5),
    st.integers(0, 3),
)
def test_rows_without_a_pair_repeat_the_last_one(pairs: list[tuple[str, str]], more: int) -> None:
    """A row of padding alone would give NaN."""
    tokenizer = ours()
    encoded = tokenizer.encode(pairs)
    indices = list(range(len(pairs)))
    exact, padded = tokenizer.batch(encoded, indices), tokenizer.batch(encoded, indices, rows=len(pairs) + more)
    for name, array in padded.items():
        assert np.array_equal(array[: len(pairs)], exact[name])
        assert (array[len(pairs) :] == array[len(pairs) - 1]).all()
