"""The order in which recipes for dynamic int8 are tried: the plain one, then less aggressive ones."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stages.fallback import layer_ranking
from stages.fallback.acceptance import Acceptance
from stages.fallback.recipe import PLAIN, Recipe
from stages.toolchain.onnx import dynamic_int8, sensitivity


def fallback_recipes(parent: Path, preset: Any, acceptance: Acceptance | None) -> Iterator[Recipe]:
    """The plain recipe; then those that cost little speed; at last those that need a measurement of the layers.

    optimum's presets are per channel already, so that step differs only where a recipe of params.yaml says otherwise.
    """

    def recipe(name: str, **changes: Any) -> Recipe:
        settings = dynamic_int8.described(dynamic_int8.settings_with(preset, changes), changes)
        return Recipe(name=name, changes=changes, settings=settings)

    yield recipe(PLAIN)
    attention = {dynamic_int8.CONST_B_ONLY: True}  # products of two activations stay in float
    yield recipe("float-attention", **attention)
    ends = dynamic_int8.embeddings_and_head(parent)
    yield recipe("float-embeddings-and-head", **attention, nodes_to_exclude=ends)
    # Embeddings are most of the bytes of a multilingual model: what follows keeps them int8.
    yield recipe("per-channel", **attention, per_channel=True)
    yield recipe("reduced-range", **attention, reduce_range=True)
    yield recipe("per-channel-reduced-range", **attention, per_channel=True, reduce_range=True)
    assert acceptance is not None  # without one, `search` asks for the plain recipe only
    ranked = sensitivity.ranked_in_child(parent, acceptance.batches(layer_ranking.PAIRS))
    names: list[str] = []
    for count, names in layer_ranking.steps(ranked):
        yield recipe(f"float-{count}-most-sensitive", **attention, nodes_to_exclude=names, per_channel=True)
    both = sorted({*ends, *names})
    yield recipe("float-most-sensitive-embeddings-and-head", **attention, nodes_to_exclude=both, per_channel=True)
