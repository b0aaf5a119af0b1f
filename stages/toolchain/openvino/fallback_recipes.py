"""The order in which recipes for static int8 and int8 weights are tried: the plain one, then less aggressive ones."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from stages.building.recipes import plain
from stages.core.child_process import in_child
from stages.fallback import layer_ranking
from stages.fallback.acceptance import Acceptance
from stages.fallback.recipe import PLAIN, Recipe
from stages.toolchain.openvino import sensitivity
from stages.toolchain.openvino.static_int8 import WEIGHTS_ONLY

# By type and by pattern, since names of nodes differ between architectures and exporters. Linear layers
# are `aten::linear`, so that other products are of two activations.
ATTENTION = r".*/aten::(matmul|bmm|scaled_dot_product_attention)/.*"
HEAD = r".*\.(classifier|pooler|score|head)[./].*"


def fallback_recipes(parent: Path, overrides: dict[str, Any], acceptance: Acceptance | None) -> Iterator[Recipe]:
    """The plain static recipe; then those that cost little speed; those that need a measurement of the layers; full
    bias correction, which takes long to build; at last int8 weights with float activations.

    optimum-intel's preset is `mixed` already. nncf's accuracy control is not among them: it runs the validation set
    once for each layer, where `sensitivity` needs one pass for all.
    """

    def recipe(name: str, **changes: Any) -> Recipe:
        if "ignored_scope" in changes:
            changes["ignored_scope"] = joined(overrides.get("ignored_scope") or {}, changes["ignored_scope"])
        return Recipe(name=name, changes=changes, settings={**plain(overrides), **plain(changes)})

    attention = _scope()
    yield recipe(PLAIN)
    yield recipe("float-attention", ignored_scope=attention)
    yield recipe("float-embeddings-and-head", ignored_scope=_scope(ends=True))
    yield recipe("smooth-quant-0.5", ignored_scope=attention, smooth_quant_alpha=0.5)
    yield recipe("no-smooth-quant", ignored_scope=attention, smooth_quant_alpha=-1)
    yield recipe("reduced-range", ignored_scope=attention, overflow_fix="enable")
    assert acceptance is not None  # without one, `search` asks for the plain recipe only
    rank = partial(sensitivity.ranked, parent, acceptance.batches(layer_ranking.PAIRS))
    ranked = layer_ranking.or_nothing(partial(in_child, rank, weights=None))
    for count, names in layer_ranking.steps(ranked):
        yield recipe(f"float-{count}-most-sensitive", ignored_scope=_scope(names=names))
    yield recipe("full-bias-correction", ignored_scope=_scope(ends=True), fast_bias_correction=False)
    yield recipe("int8-weights", **{WEIGHTS_ONLY: True, "bits": 8, "sym": True})


def weight_recipes(overrides: dict[str, Any]) -> Iterator[Recipe]:
    """int8 weights, per channel; then asymmetric ones; then with float embeddings and head."""

    def recipe(name: str, **changes: Any) -> Recipe:
        changes = {WEIGHTS_ONLY: True, "bits": 8, "sym": True, **overrides, **changes}
        return Recipe(name=name, changes=changes, settings=plain(changes))

    yield recipe(PLAIN)
    yield recipe("asymmetric", sym=False)
    yield recipe("float-embeddings-and-head", sym=False, ignored_scope=_scope(ends=True))


def joined(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Two ignored scopes: what either ignores."""
    found = {**one, **other}
    for name in one.keys() & other.keys():
        if isinstance(one[name], list):
            found[name] = [*one[name], *(item for item in other[name] if item not in one[name])]
    return found


def _scope(*, ends: bool = False, names: Sequence[str] = ()) -> dict[str, Any]:
    """nncf's ignored scope: products of two activations; with `ends`, embeddings and head; and `names`."""
    scope: dict[str, Any] = {"patterns": [ATTENTION, *([HEAD] if ends else [])], "validate": False}
    return scope | ({"types": ["Gather"]} if ends else {}) | ({"names": list(names)} if names else {})
