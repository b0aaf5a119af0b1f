"""How pairs become batches, and logits become scores."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from artificer.inference import activations
from artificer.inference.batching import batch_bucket, full_batches, plan, single_bucket
from artificer.inference.scoring import score_texts
from artificer.manifest import Tuning
from artificer.tasks.text_ranking import Reranker


@given(st.integers(1, 512), st.sampled_from([16, 64, 500, 512]), st.integers(64, 300))
def test_many_pairs_of_one_length_make_full_batches_that_warming_knows(length: int, max_length: int, n: int) -> None:
    """All but the few at the end, whose rows are powers of two below."""
    lengths = [min(length, max_length)] * n
    shapes = [(batch.rows, batch.width) for batch in plan(lengths, max_rows=32, known_up_to=max_length)]
    ((rows, width),) = {shape for shape in full_batches(max_length, 32) if shape[1] == shapes[0][1]}
    assert shapes[: n // rows] == [(rows, width)] * (n // rows)
    assert all(fewer <= rows and fewer & (fewer - 1) == 0 for fewer, _ in shapes)


@given(
    st.lists(st.integers(1, 700), max_size=60),
    st.integers(1, 40),
    st.integers(1, 4096),
    st.sampled_from([None, 512]),
)
def test_a_plan_holds_every_pair_once_within_its_budget(
    lengths: list[int], rows: int, tokens: int, known_up_to: int | None
) -> None:
    """Every position once, no batch above its rows, none above its tokens unless it is a single pair."""
    batches = plan(lengths, max_rows=rows, max_tokens=tokens, known_up_to=known_up_to)
    assert sorted(int(i) for batch in batches for i in batch.indices) == list(range(len(lengths)))
    for batch in batches:
        assert 1 <= len(batch.indices) <= batch.rows <= rows
        assert all(lengths[i] <= batch.width for i in batch.indices)
        assert batch.rows == 1 or batch.rows * batch.width <= tokens
        assert len(batch.indices) >= (0.75 if known_up_to else 1) * batch.rows


@given(st.lists(st.integers(1, 40), max_size=60), st.integers(1, 40), st.integers(1, 200))
def test_a_plan_without_padding_holds_texts_of_one_length_in_a_batch(
    lengths: list[int], rows: int, tokens: int
) -> None:
    """Each text once, within the budget, whatever the backend compiles."""
    batches = plan(lengths, max_rows=rows, max_tokens=tokens, known_up_to=512, padded=False)
    assert sorted(int(i) for batch in batches for i in batch.indices) == list(range(len(lengths)))
    for batch in batches:
        assert {lengths[i] for i in batch.indices} == {batch.width}
        assert len(batch.indices) == batch.rows <= rows
        assert batch.rows == 1 or batch.rows * batch.width <= tokens


def test_a_runtime_that_compiles_per_shape_sees_few_shapes() -> None:
    """It keeps about a megabyte for each: whatever the lengths and numbers of pairs, there are 120 up to 512 tokens."""
    dice = np.random.default_rng(0)
    seen = {
        (batch.rows, batch.width)
        for _ in range(3000)
        for batch in plan(dice.integers(1, 513, dice.integers(1, 60)), max_rows=32, known_up_to=512)
    }
    assert len(seen) <= 120


@given(
    st.integers(1, 3000), st.integers(8, 8192), st.sampled_from([(single_bucket, 16, 0.35), (batch_bucket, 4, 1 / 8)])
)
def test_a_width_holds_its_length_and_no_more_than_the_model(
    length: int, max_length: int, known: tuple[Any, int, float]
) -> None:
    """Widths grow with lengths, fit them, and waste little."""
    width_of, least, share = known
    width = width_of(length, max_length)
    assert length <= width <= max(length, max_length)
    assert width_of(length + 1, max_length) >= width
    assert width < length + max(least, length * share)


@given(st.lists(st.floats(-1e4, 1e4, width=32), min_size=1, max_size=8))
def test_activations_are_stable(values: list[float]) -> None:
    """No overflow, no NaN; sigmoid keeps the order, softmax sums to one."""
    logits = np.array([values], dtype=np.float32)
    with np.errstate(over="raise", invalid="raise"):
        sigmoid, softmax = activations.activate(logits, "sigmoid"), activations.activate(logits, "softmax")
    assert ((sigmoid >= 0) & (sigmoid <= 1)).all()
    assert (np.diff(sigmoid[0][np.argsort(logits[0], kind="stable")]) >= 0).all()
    assert softmax.sum() == pytest.approx(1, abs=1e-5)
    assert (activations.activate(logits, "identity") == logits).all()


class EagerSession:
    """Reads all batches before the first output is asked for, and returns the sum of each row's token ids."""

    compiles_per_shape = False
    tuning = Tuning()

    def run(self, inputs: dict[str, Any]) -> Any:
        """The sums, as one logit."""
        return inputs["input_ids"].sum(axis=1, keepdims=True).astype(np.float32)

    def run_many(self, batches: Iterable[dict[str, Any]]) -> Any:
        """All at once."""
        return iter([self.run(batch) for batch in batches])


def test_outputs_meet_their_inputs_whenever_a_session_reads_them(reranker: Reranker) -> None:
    """Long texts go one at a time and first, also if the session takes the other batches at once."""

    def collect(output: Any, inputs: Any) -> Any:
        assert np.array_equal(output, EagerSession().run(inputs))
        return output

    texts = [("a query", "word " * count) for count in (3, 90, 5, 70, 1, 2, 4, 6, 7)]
    session: Any = EagerSession()
    found = score_texts(
        session, reranker._tokenizer, texts, collect=collect, batch_size=1, tuning=Tuning(max_tokens=40)
    )
    assert found.shape == (len(texts), 1)
