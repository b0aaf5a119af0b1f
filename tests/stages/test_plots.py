"""The pictures of cards and reports."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artificer.manifest import Manifest
from stages.packaging import plot


def test_plots_are_equal_over_two_runs(packed: Manifest, tmp_path: Path) -> None:
    """PNG and SVG hold neither a date nor random ids."""
    for name in ("one", "two"):
        targets = [tmp_path / f"{name}.png", tmp_path / f"{name}.svg"]
        plot.speed_against_quality([packed, packed], "amd-test-avx2-2c", *targets)
    for suffix in ("png", "svg"):
        assert (tmp_path / f"one.{suffix}").read_bytes() == (tmp_path / f"two.{suffix}").read_bytes()


def test_of_many_models_the_plot_shows_points_without_names(packed: Manifest, tmp_path: Path) -> None:
    """A thousand labels would cover each other, and take minutes to place."""
    target = tmp_path / "many.svg"
    plot.speed_against_quality([packed] * (plot.MOST_NAMED + 1), "amd-test-avx2-2c", target)
    text = target.read_text()
    assert f"<!-- {plot.MOST_NAMED + 1} models" in text
    assert "onnx" not in text
    assert "<image" in text


def test_a_variant_of_a_new_backend_is_plotted(
    packed: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The manifest says which runtime a variant has, whatever its id; one without a colour has the common one."""
    plot.speed_against_quality([packed], "amd-test-avx2-2c", tmp_path / "all.svg")
    assert plot.OTHER_COLOUR not in (tmp_path / "all.svg").read_text()
    monkeypatch.delitem(plot.COLOURS, "openvino")
    plot.speed_against_quality([packed], "amd-test-avx2-2c", tmp_path / "new.svg")
    assert plot.OTHER_COLOUR in (tmp_path / "new.svg").read_text()


@given(
    points=st.lists(st.tuples(st.floats(0, 600), st.floats(0, 300), st.integers(4, 30)), max_size=8),
)
def test_labels_of_the_picture_cover_neither_each_other_nor_a_point(points: list[tuple[float, float, int]]) -> None:
    """Of 32 heights each other label and each point takes two at most, so eight labels always find theirs."""
    places, lengths = [(x, y) for x, y, _ in points], [length for _, _, length in points]
    offsets = plot.label_offsets(places, lengths, places)
    half, tall = plot.LABEL_WIDTH * plot.LABEL_POINTS / 2, plot.LABEL_POINTS + 2.0
    for i, (x, y) in enumerate(places):
        for j in range(i):
            beside = abs(x - places[j][0]) >= half * (lengths[i] + lengths[j]) - 1e-6
            assert beside or abs(y + offsets[i] - places[j][1] - offsets[j]) >= tall - 1e-6
        for a, b in places:
            assert abs(x - a) >= half * lengths[i] + 3 - 1e-6 or abs(y + offsets[i] - b) >= tall / 2 + 3 - 1e-6


def test_points_on_each_other_have_one_label() -> None:
    """One graph under three names is one point; its family is said once."""
    one, two = plot.Point("onnx-q-a", 3.0, 99.0, True, "onnx"), plot.Point("onnx-q-b", 3.0, 99.0, True, "onnx")
    other = plot.Point("onnx", 2.0, 99.0, True, "onnx")
    assert plot.together([one, other, two]) == [plot.Point("onnx-q-a, b", 3.0, 99.0, True, "onnx"), other]
