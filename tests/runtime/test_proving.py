"""The proof of an execution: texts of many lengths, faults at some lengths or in some processes, and their names."""

from copy import copy
from pathlib import Path

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace

from artificer.inference.tokenization import TextTokenizer
from artificer.manifest import ClassifierHead, Manifest, Metrics
from artificer.proving.judging import missed, named_lengths
from artificer.proving.length_probe import Asked, LengthGap, Part, ask_lengths, faulty_ranges, length_metrics
from artificer.proving.length_texts import lengths_to_ask, texts_of_lengths
from artificer.proving.measurement import LengthTexts
from artificer.proving.reference_answers import Expected
from artificer.tasks.task import TASKS
from tests.mean_session import MeanSession

PAIRS = [
    ("how deep is the deepest lake", "Lake Baikal reaches a depth of 1,642 metres, more than any other lake."),
    ("what does a luthier do", "A luthier builds and repairs violins, guitars and other stringed instruments."),
    ("why do leaves turn red", "Leaves lose their chlorophyll in autumn, and other pigments become visible."),
]
LIMITS: Metrics = {"length_score_max_abs": 0.1, "process_score_max_abs": 0.1}


@pytest.fixture(scope="module")
def tokenizer(published: Path, manifest: Manifest) -> TextTokenizer:
    """The fixture's tokenizer."""
    return TextTokenizer.from_file(
        published / manifest.tokenizer.file, manifest.tokenizer, max_length=160, inputs=MeanSession.input_names
    )


@pytest.fixture(scope="module")
def expected(tokenizer: TextTokenizer) -> Expected:
    """The reference: a session without a fault, asked one text at a time."""
    found = texts_of_lengths(tokenizer, PAIRS, lengths_to_ask(160, up_to=512, tokens=10**6))
    encoded = tokenizer.encode([text for text, _ in found])
    rows = [MeanSession().run(tokenizer.batch(encoded, [i]))[0] for i in range(len(found))]
    return Expected(
        pairs=PAIRS,
        logits=np.zeros((len(PAIRS), 1), dtype=np.float32),
        task=TASKS["text-ranking"],
        head=ClassifierHead(labels=("relevance",), activation="sigmoid"),
        batch_size=32,
        top_k=5,
        lengths=LengthTexts(
            texts=tuple(text for text, _ in found),
            lengths=tuple(length for _, length in found),
            outputs=tuple(tuple(float(value) for value in row) for row in rows),
        ),
    )


def asked(session: MeanSession, tokenizer: TextTokenizer, expected: Expected, part: Part = "all") -> Asked:
    """What a session answers."""
    return ask_lengths(session, tokenizer, expected, part)


def reasons(first: MeanSession, second: MeanSession, tokenizer: TextTokenizer, expected: Expected) -> list[str]:
    """What an execution misses that answers like `first`, and in another process like `second`."""
    metrics, gaps = length_metrics(
        asked(first, tokenizer, expected, "first"), asked(second, tokenizer, expected, "second"), expected
    )
    return missed(metrics, LIMITS, None, faulty_ranges(gaps, 0.1))


def test_every_short_length_and_eight_around_each_block_are_met(tokenizer: TextTokenizer, expected: Expected) -> None:
    """From the first length that holds a token of each text; and the texts have the lengths that they are said to."""
    lengths = expected.lengths.lengths
    assert lengths == (*range(5, 65), *range(93, 101), *range(125, 133), *range(157, 161))
    encoded = tokenizer.encode(expected.lengths.texts)
    assert tuple(encoded.lengths.tolist()) == lengths
    assert not encoded.truncated.any()


def test_equal_pairs_give_equal_texts(tokenizer: TextTokenizer, expected: Expected) -> None:
    """The reference's outputs belong to them."""
    again = texts_of_lengths(tokenizer, PAIRS, lengths_to_ask(160, up_to=512, tokens=10**6))
    assert tuple(text for text, _ in again) == expected.lengths.texts


def test_words_of_a_language_without_spaces_are_filled_up(tokenizer: TextTokenizer) -> None:
    """Where a text is one long word, short lengths cannot be met, and are left out."""
    pairs = [("x" * 40, "y" * 60), *PAIRS[:1]]
    found = texts_of_lengths(tokenizer, pairs, range(1, 41))
    assert {length for _, length in found} <= set(range(5, 41))
    assert len(found) > 20


@pytest.mark.parametrize(
    ("tokens", "count"), [(10**6, 115), (20_000, 57), (10_000, 29), (5_000, 15), (3_000, 8), (100, 1)]
)
def test_fewer_long_texts_are_asked_of_larger_models(tokens: int, count: int) -> None:
    """Evenly, down to the longest alone; the short ones are always asked."""
    found = lengths_to_ask(8192, up_to=512, tokens=tokens)
    assert found[:64] == list(range(1, 65))
    assert found[-1] == 512
    assert abs(len(found) - 64 - count) <= 8
    assert sum(found[64:]) <= max(tokens, 512)


def test_a_model_that_is_shorter_than_a_block_is_asked_up_to_its_length() -> None:
    """No length is beyond the model's."""
    assert lengths_to_ask(24, up_to=512, tokens=10**6) == list(range(1, 25))
    assert max(lengths_to_ask(100, up_to=512, tokens=10**6)) == 100


def test_every_width_is_computed_alone_and_in_a_batch(tokenizer: TextTokenizer, expected: Expected) -> None:
    """As it is, not rounded up to a length bucket; and every text is padded in some batch but the longest."""
    session = MeanSession()
    found = asked(session, tokenizer, expected)
    alone = {width for rows, width in session.shapes if rows == 1}
    together = {width for rows, width in session.shapes if rows > 1}
    assert alone == set(expected.lengths.lengths)
    assert set(range(6, 65)) <= together
    assert {94, 96, 98, 100, 126, 128, 130, 132, 158, 160} <= together
    assert set(found.indices) == set(range(len(expected.lengths.lengths)))


def test_two_processes_share_the_long_texts(tokenizer: TextTokenizer, expected: Expected) -> None:
    """Each length is asked in both of them: alone in one, in a batch in the other. Short ones are asked twice."""
    sessions: dict[Part, MeanSession] = {"first": MeanSession(), "second": MeanSession()}
    first, second = (asked(session, tokenizer, expected, part) for part, session in sessions.items())
    every = set(range(len(expected.lengths.lengths)))
    assert set(first.indices) == set(second.indices) == every
    alone = [{width for rows, width in session.shapes if rows == 1} for session in sessions.values()]
    assert alone[0] | alone[1] == set(expected.lengths.lengths)
    assert alone[0] & alone[1] == set(range(5, 65))
    assert first.indices[: first.repeated] == second.indices[: second.repeated]
    together = [{width for rows, width in session.shapes if rows > 1} for session in sessions.values()]
    assert together[0] & together[1] == set(range(6, 65))


def test_a_text_without_a_neighbour_is_in_a_batch_with_a_much_shorter_one(
    tokenizer: TextTokenizer, expected: Expected
) -> None:
    """Of a large model only multiples of the block are asked."""
    kept = [i for i, length in enumerate(expected.lengths.lengths) if length <= 64 or length % 32 == 0]
    lengths = expected.lengths
    fewer = LengthTexts(
        texts=tuple(lengths.texts[i] for i in kept),
        lengths=tuple(lengths.lengths[i] for i in kept),
        outputs=tuple(lengths.outputs[i] for i in kept),
    )
    session = MeanSession()
    ask_lengths(session, tokenizer, replace(expected, lengths=fewer))
    assert [shape for shape in session.shapes if shape[1] > 64] == [
        (1, 96), (1, 128), (1, 160), (2, 96), (2, 128), (2, 160),
    ]  # fmt: skip


def test_texts_that_must_not_be_padded_are_in_batches_of_their_own_length(
    tokenizer: TextTokenizer, expected: Expected
) -> None:
    """Each together with itself."""
    info = msgspec.structs.replace(tokenizer.info, padded=False)
    unpadded = copy(tokenizer)
    unpadded.info = info
    session = MeanSession()
    found = ask_lengths(session, unpadded, expected)
    shapes = [(2, length) for length in expected.lengths.lengths]
    assert sorted(shape for shape in session.shapes if shape[0] > 1) == shapes
    lengths = [expected.lengths.lengths[i] for i in found.indices]
    assert tuple(lengths) == found.widths


def test_a_session_without_a_fault_passes(tokenizer: TextTokenizer, expected: Expected) -> None:
    """Nothing is missed, and no length is named."""
    assert reasons(MeanSession(), MeanSession(), tokenizer, expected) == []


def test_a_fault_at_some_lengths_is_found_and_named(tokenizer: TextTokenizer, expected: Expected) -> None:
    """Scores that are wrong at widths of 29 to 32 alone, as OpenVINO's were."""
    session = MeanSession(lambda width, logits: logits + 5.0 if 29 <= width <= 32 else logits)
    (length, *others) = reasons(session, session, tokenizer, expected)
    assert length.startswith("length_score_max_abs is 0.")
    assert "(29-32 tokens)" in length
    assert not others


def test_a_fault_that_shows_only_in_batches_is_found(tokenizer: TextTokenizer, expected: Expected) -> None:
    """One text at a time is right; the widths of such batches are named, not the shorter texts in them."""
    session = MeanSession(lambda width, logits: logits + 5.0 if width > 128 and len(logits) > 1 else logits)
    (length,) = reasons(session, session, tokenizer, expected)
    assert "(130, 132, 158 and 160 tokens)" in length


def test_a_fault_of_the_second_process_is_found(tokenizer: TextTokenizer, expected: Expected) -> None:
    """The first one is right; the metric between the processes says what it is."""
    wrong = MeanSession(lambda _, logits: logits + 5.0)
    found = reasons(MeanSession(), wrong, tokenizer, expected)
    assert [each.partition(" is ")[0] for each in found] == ["length_score_max_abs", "process_score_max_abs"]


def test_not_a_number_is_no_small_difference(tokenizer: TextTokenizer, expected: Expected) -> None:
    """A comparison with NaN is false; infinite logits are refused before."""
    assert faulty_ranges([LengthGap(7, 7, float("nan")), LengthGap(8, 8, 0.0)], 0.1) == ((7, 7),)
    session = MeanSession(lambda width, logits: logits + np.float32(np.inf) if width == 40 else logits)
    with pytest.raises(OverflowError, match="infinite"):
        asked(session, tokenizer, expected)


def test_raw_logits_differ_by_a_share_of_the_references_range(expected: Expected) -> None:
    """As `score_max_abs` does for models without an activation."""
    raw = Expected(
        pairs=PAIRS[:2],
        logits=np.array([[0.0], [20.0]], dtype=np.float32),
        task=expected.task,
        head=ClassifierHead(labels=("relevance",), activation="identity"),
        batch_size=32,
        top_k=5,
    )
    gaps = raw.score_gaps(np.array([[1.0]], dtype=np.float32), np.array([[3.0]], dtype=np.float32))
    assert gaps.tolist() == [0.1]


@pytest.mark.parametrize(
    ("ranges", "text"),
    [
        ([(29, 32)], "29-32 tokens"),
        ([(7, 7)], "7 tokens"),
        ([(29, 32), (61, 61)], "29-32 and 61 tokens"),
        ([(n, n) for n in range(1, 9)], "1, 2, 3, 4, 5 and 3 more ranges of tokens"),
    ],
)
def test_faulty_lengths_are_named_as_ranges(ranges: list[tuple[int, int]], text: str) -> None:
    """Short enough for a line."""
    assert named_lengths(ranges) == text
