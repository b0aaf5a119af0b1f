"""The arithmetic of proof, by its properties and against other libraries."""

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from artificer.manifest import Activation, ClassifierHead, Metrics
from artificer.tasks import TASKS
from artificer.tasks.differences import group_by_query, top_overlap
from stages.core.errors import DataError
from stages.metrics import parity_metrics as metrics
from stages.metrics.quality import class_quality, ranking_quality
from tests import strategies

# scipy says so in a warning, the figures say it as null.
pytestmark = pytest.mark.filterwarnings("ignore:An input array is constant")
ROWS = 12
GROUPS = [[0, 1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11]]
Logits = NDArray[np.float32]


def differences(found: Logits, expected: Logits, activation: Activation, groups: list[list[int]]) -> dict[str, float]:
    """The figures of three passages a query at the top; an undefined one is not a number."""
    texts = [("", "")] * len(found)
    for number, group in enumerate(groups):
        for i in group:
            texts[i] = (str(number), str(i))
    head = ClassifierHead(labels=("label",) * found.shape[1], activation=activation)
    measured: Metrics = metrics.differences(TASKS["text-classification"], found, expected, head, texts, 3)
    return {name: math.nan if value is None else value for name, value in measured.items()}


@given(strategies.finite_logits(ROWS, labels=2), st.sampled_from(["identity", "sigmoid", "softmax"]))
def test_identical_logits_differ_in_nothing(logits: Logits, activation: Activation) -> None:
    """Whatever the logits and the activation, a model agrees with itself: no difference, the same ranks."""
    found = differences(logits, logits, activation, GROUPS)
    assert (found["output_max_abs"], found["output_mean_abs"], found["score_max_abs"], found["score_mean_abs"]) == (
        0,
        0,
        0,
        0,
    )
    assert found["top_k_overlap"] == 1.0
    constant = any(len(set(logits[:, i].tolist())) < 2 for i in range(2))
    assert math.isnan(found["spearman"]) == constant
    if not constant:
        assert found["spearman"] == pytest.approx(1.0)
        assert found["kendall"] == pytest.approx(1.0)


@given(strategies.distinct_logits(ROWS), strategies.distinct_logits(ROWS), st.permutations(range(ROWS)))
def test_the_order_of_the_pairs_does_not_matter(found: Logits, expected: Logits, order: list[int]) -> None:
    """Shuffling the pairs together with their queries gives the same figures."""
    places = {old: new for new, old in enumerate(order)}
    moved = [[places[i] for i in group] for group in GROUPS]
    one = differences(found, expected, "sigmoid", GROUPS)
    other = differences(found[order], expected[order], "sigmoid", moved)
    assert one == pytest.approx(other, nan_ok=True)


@given(strategies.finite_logits(ROWS), strategies.finite_logits(ROWS))
@example(np.zeros((ROWS, 1), dtype=np.float32), np.full((ROWS, 1), -34.375, dtype=np.float32))
def test_figures_stay_in_their_ranges(found: Logits, expected: Logits) -> None:
    """Means are at most maxima, scores of a sigmoid at most 1 apart, shares between 0 and 1; both ways round alike."""
    one = differences(found, expected, "sigmoid", GROUPS)
    other = differences(expected, found, "sigmoid", GROUPS)
    one_rounding = 1 + 1e-12  # a mean of equal values may be one unit in the last place above them
    assert 0 <= one["output_mean_abs"] <= one["output_max_abs"] * one_rounding
    assert 0 <= one["score_mean_abs"] <= one["score_max_abs"] * one_rounding
    assert one["score_max_abs"] <= 1
    assert one["score_max_abs"] <= one["output_max_abs"] / 4 + 1e-6  # the steepest slope of a sigmoid is 1/4
    assert 0 <= one["top_k_overlap"] <= 1
    assert one["output_max_abs"] == other["output_max_abs"]
    assert one["top_k_overlap"] == pytest.approx(other["top_k_overlap"])


def test_a_variant_that_scores_everything_alike_has_kept_no_order() -> None:
    """Its correlation is 0 and fails its threshold; without an order in the reference nothing is judged."""
    varied, constant = np.arange(ROWS, dtype=np.float32)[:, None], np.ones((ROWS, 1), dtype=np.float32)
    assert differences(constant, varied, "identity", GROUPS)["spearman"] == 0.0
    assert math.isnan(differences(varied, constant, "identity", GROUPS)["spearman"])


@given(strategies.distinct_logits(ROWS))
def test_reversed_logits_have_the_opposite_rank(expected: Logits) -> None:
    """Correlations reach from 1 to -1."""
    found = differences(-expected, expected, "identity", GROUPS)
    assert found["spearman"] == pytest.approx(-1.0)
    assert found["kendall"] == pytest.approx(-1.0)


def test_rank_is_measured_on_logits_where_the_sigmoid_saturates() -> None:
    """fp32 sigmoids are 1.0 from about logit 17 on: scores look equal there, and rank still tells them apart."""
    expected = np.arange(20, 20 + ROWS, dtype=np.float32)[:, None]
    found = differences(expected[::-1].copy(), expected, "sigmoid", GROUPS)
    assert found["score_max_abs"] == 0.0
    assert found["spearman"] == pytest.approx(-1.0)
    assert found["top_k_overlap"] < 1.0
    assert found["output_max_abs"] == ROWS - 1


def test_the_worst_label_counts() -> None:
    """One wrong column of logits is not averaged away by a right one."""
    expected = np.stack([np.arange(ROWS), np.arange(ROWS)], axis=1).astype(np.float32)
    found = expected.copy()
    found[:, 1] = found[::-1, 1]
    figure = differences(found, expected, "identity", GROUPS)
    assert figure["spearman"] == pytest.approx(-1.0)
    assert figure["top_k_overlap"] == top_overlap(found[:, 1], expected[:, 1], GROUPS, 3) < 1.0


def test_the_overlap_of_the_top_is_counted_per_query() -> None:
    """Two of three of the first query's top, all of the second's: five sixths."""
    expected = np.array([9, 8, 7, 1, 0, 9, 8, 7, 1], dtype=np.float32)
    found = np.array([9, 8, 1, 7, 0, 7, 8, 9, 1], dtype=np.float32)
    assert top_overlap(found, expected, [[0, 1, 2, 3, 4], [5, 6, 7, 8]], 3) == pytest.approx(5 / 6)


def test_the_top_of_a_short_query_is_less_than_all_of_it() -> None:
    """With k as large as the query, every order would agree."""
    groups = [[0, 1], [2, 3]]
    found = np.array([1, 2, 2, 1], dtype=np.float32)
    expected = np.array([2, 1, 2, 1], dtype=np.float32)
    assert top_overlap(found, expected, groups, 5) == 0.5


def test_pairs_without_queries_in_common_are_one_list() -> None:
    """A set of single pairs, such as STS, is ranked as a whole: a tenth of it is its top."""
    expected = np.arange(100, dtype=np.float32)
    found = expected.copy()
    found[[0, 99]] = found[[99, 0]]
    assert top_overlap(found, expected, [[i] for i in range(100)], 5) == pytest.approx(0.9)


@given(st.lists(st.sampled_from("abcd"), max_size=20))
def test_groups_hold_every_pair_once(queries: list[str]) -> None:
    """Each pair is in the group of its query, in order, and queries keep the order in which they appeared."""
    groups = group_by_query(queries)
    assert sorted(i for group in groups for i in group) == list(range(len(queries)))
    assert all(len({queries[i] for i in group}) == 1 for group in groups)
    assert [group[0] for group in groups] == sorted(group[0] for group in groups)


@pytest.mark.toolchain
def test_quality_equals_that_of_sentence_transformers() -> None:
    """NDCG@10 and MAP are what CrossEncoderRerankingEvaluator says of the same scores."""
    from sentence_transformers.cross_encoder.evaluation import CrossEncoderRerankingEvaluator

    generator = np.random.default_rng(3)
    samples: list[dict[str, str | list[str]]] = []
    labels: list[int] = []
    scores: list[int] = []
    groups: list[list[int]] = []
    for query in range(20):
        start = len(labels)
        relevant = generator.permutation([1] * 2 + [0] * 12).tolist()
        passages = [f"passage {query} {i}" for i in range(len(relevant))]
        samples.append(
            {
                "query": f"query {query}",
                "positive": [p for p, label in zip(passages, relevant, strict=True) if label],
                "negative": [p for p, label in zip(passages, relevant, strict=True) if not label],
            }
        )
        labels += relevant
        scores += generator.permutation(len(relevant)).tolist()
        groups.append(list(range(start, len(labels))))
    texts = [f"passage {query} {i}" for query in range(20) for i in range(14)]
    by_text = dict(zip(texts, scores, strict=True))

    class Model:
        """Scores each passage with the number above."""

        model_card_data = type("Card", (), {"set_evaluation_metrics": lambda *_: None})

        def predict(self, pairs: list[tuple[str, str]], **_: object) -> NDArray[np.float32]:
            return np.asarray([by_text[passage] for _, passage in pairs], dtype=np.float32)

    evaluator = CrossEncoderRerankingEvaluator(samples, at_k=10, write_csv=False)
    theirs = evaluator(Model())  # type: ignore[arg-type]
    ours = ranking_quality(np.asarray(scores, dtype=np.float32)[:, None], labels, groups, 1, None)
    assert ours.metrics["ndcg_at_10"] == pytest.approx(theirs["ndcg@10"], abs=1e-12)
    assert ours.metrics["map"] == pytest.approx(theirs["map"], abs=1e-12)
    assert ours.main_metric == "ndcg_at_10"


def test_graded_labels_count_by_grade() -> None:
    """NDCG rewards a 3 before a 1; MAP sees relevant or not."""
    labels = [3.0, 1.0, 0.0]
    best = ranking_quality(np.array([[3], [2], [1]], dtype=np.float32), labels, [[0, 1, 2]], 1, None)
    swapped = ranking_quality(np.array([[2], [3], [1]], dtype=np.float32), labels, [[0, 1, 2]], 1, None)
    assert best.metrics["ndcg_at_10"] == pytest.approx(1.0)
    gain = (1 + 3 / math.log2(3)) / (3 + 1 / math.log2(3))
    assert swapped.metrics["ndcg_at_10"] == pytest.approx(gain)
    assert best.metrics["map"] == swapped.metrics["map"] == 1.0


def test_the_ratio_is_to_the_reference() -> None:
    """A variant that ranks worse has a ratio below 1; the reference has 1."""
    labels = [1.0, 0.0, 0.0, 0.0]
    good = np.array([[4], [3], [2], [1]], dtype=np.float32)
    bad = np.array([[3], [4], [2], [1]], dtype=np.float32)
    reference = ranking_quality(good, labels, [[0, 1, 2, 3]], 1, None)
    assert reference.ratio == 1.0
    found = ranking_quality(bad, labels, [[0, 1, 2, 3]], 1, reference)
    assert found.ratio == pytest.approx(1 / math.log2(3))
    assert ranking_quality(good, labels, [[0, 1, 2, 3]], 1, found).ratio == pytest.approx(math.log2(3))


def test_pairs_with_gold_scores_are_judged_by_spearman() -> None:
    """Without queries that have several passages there is no ranking, and the gold scores' order is what counts."""
    labels = [0.0, 1.5, 3.0, 5.0]
    found = ranking_quality(np.array([[0], [1], [3], [2]], dtype=np.float32), labels, [[0], [1], [2], [3]], 2, None)
    assert found.main_metric == "spearman"
    assert found.metrics == {"ndcg_at_10": None, "map": None, "spearman": pytest.approx(0.8)}


def test_several_labels_are_judged_by_accuracy() -> None:
    """The highest logit against the gold class."""
    logits = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]], dtype=np.float32)
    found = class_quality(logits, [frozenset({i}) for i in (0, 1, 2, 2)], None)
    assert (found.main_metric, found.metrics) == ("accuracy", {"accuracy": 0.75})


def test_labels_that_may_come_together_are_judged_one_by_one() -> None:
    """The mean of each label's average precision; a label that no pair has, or that all have, says nothing."""
    logits = np.array([[4, 1, 0, 9], [3, 2, 0, 9], [2, 3, 0, 9], [1, 4, 0, 9]], dtype=np.float32)
    gold = [frozenset({0, 3}), frozenset({0, 1, 3}), frozenset({3}), frozenset({1, 3})]
    found = class_quality(logits, gold, None)
    assert found.main_metric == "macro_average_precision"
    # Label 0 is ranked perfectly; label 1's two pairs come first and third.
    assert found.metrics == {"macro_average_precision": pytest.approx((1 + (1 + 2 / 3) / 2) / 2)}
    assert found.ratio == 1.0
    worse = class_quality(logits[::-1].copy(), gold, found)
    assert worse.ratio == pytest.approx(worse.main_value / found.main_value)
    assert worse.ratio < 1


@given(
    strategies.finite_logits(ROWS, labels=3), st.lists(st.frozensets(st.integers(0, 2)), min_size=ROWS, max_size=ROWS)
)
def test_quality_of_classes_does_not_depend_on_the_order_of_the_pairs(
    logits: Logits, gold: list[frozenset[int]]
) -> None:
    """Whatever applies to them: shuffled together, the same figure, between 0 and 1; or the same refusal."""
    try:
        found = class_quality(logits, gold, None)
    except DataError:
        with pytest.raises(DataError):
            class_quality(logits[::-1].copy(), gold[::-1], None)
        return
    other = class_quality(logits[::-1].copy(), gold[::-1], None)
    assert 0 < found.main_value <= 1
    assert other.main_value == pytest.approx(found.main_value)


@pytest.mark.parametrize("labels", [[1, 1, 1, 1], [4, 3, 2, 1]])
def test_labels_that_say_nothing_about_the_reference_are_refused(labels: list[float]) -> None:
    """Against a reference without quality every variant would look as good as it."""
    rising = np.array([[1], [2], [3], [4]], dtype=np.float32)
    with pytest.raises(DataError, match="nothing can be compared"):
        ranking_quality(rising, labels, [[0], [1], [2], [3]], 2, None)


def test_raw_logits_differ_by_a_share_of_the_references_range() -> None:
    """Without an activation, equal relative errors give equal figures at any scale: one threshold serves all."""
    expected = np.linspace(-1, 1, ROWS, dtype=np.float32)[:, None]
    found = expected + np.float32(0.01)
    small = differences(found, expected, "identity", GROUPS)
    large = differences(11 * found, 11 * expected, "identity", GROUPS)
    assert small["score_max_abs"] == pytest.approx(0.005, rel=1e-3)
    assert large["score_max_abs"] == pytest.approx(small["score_max_abs"], rel=1e-3)
    assert large["output_max_abs"] == pytest.approx(11 * small["output_max_abs"], rel=1e-3)
