"""The order in which recipes for static int8 of an ONNX graph are tried: the plain one, then less aggressive ones."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stages.fallback import layer_ranking
from stages.fallback.acceptance import Acceptance
from stages.fallback.recipe import PLAIN, Recipe
from stages.toolchain.onnx import calibrated_int8, sensitivity
from stages.toolchain.onnx.calibrated_int8 import NO_SMOOTHING, StaticSettings


def static_recipes(parent: Path, settings: StaticSettings, acceptance: Acceptance | None) -> Iterator[Recipe]:
    """The plain recipe; other shares of smoothing, which cost no speed; 7-bit weights; float embeddings; at last those
    that need a measurement of the layers. Products of two activations, and the head, are float in all of them."""

    def recipe(name: str, **changes: Any) -> Recipe:
        described = calibrated_int8.described(calibrated_int8.settings_with(settings, changes))
        return Recipe(name=name, changes=changes, settings=described)

    yield recipe(PLAIN)
    yield recipe("smooth-quant-0.65", smooth_quant_alpha=0.65)
    yield recipe("smooth-quant-0.9", smooth_quant_alpha=0.9)
    yield recipe("smooth-quant-0.5", smooth_quant_alpha=0.5)
    yield recipe("no-smooth-quant", smooth_quant_alpha=NO_SMOOTHING)
    yield recipe("reduced-range", reduce_range=True)
    layers = [name for name in settings.operators_to_quantize if name != "Gather"]
    yield recipe("float-embeddings", operators_to_quantize=layers)
    assert acceptance is not None  # without one, `search` asks for the plain recipe only
    ranked = sensitivity.ranked_in_child(parent, acceptance.batches(layer_ranking.PAIRS))
    names: list[str] = []
    for count, names in layer_ranking.steps(ranked):
        yield recipe(f"float-{count}-most-sensitive", nodes_to_exclude=names)
    yield recipe("float-most-sensitive-and-embeddings", nodes_to_exclude=names, operators_to_quantize=layers)
