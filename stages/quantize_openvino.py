"""Stage `quantize_openvino`: what is made from the fp32 IR: static int8, calibrated on query-passage pairs, and, where
an entry lists them, weight-only int8, fp16 and bf16.

An int8 variant that misses its thresholds is built again with fallback recipes (stages/fallback/recipe_search.py).
"""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from stages.building import torch_model
from stages.building.variant_builder import Built, build_step, check_recipe, load_record, parent_graph, plain
from stages.core import paths
from stages.core.child_process import in_child
from stages.core.params import load_params
from stages.core.variants import VariantRow
from stages.data import read_pairs
from stages.fallback import recipe_search, sensitivity
from stages.fallback.recipe_search import PLAIN, Acceptance, Cost, Recipe
from stages.records.model_spec import load_spec
from stages.toolchain.openvino import half_precision, static_int8
from stages.toolchain.openvino.static_int8 import WEIGHTS_ONLY, Rows

LENGTH_STEP = 16
SENSITIVITY_PAIRS = 8
PARENT = "openvino"
# By type and by pattern, since names of nodes differ between architectures and exporters (FIELD-NOTES). Linear layers
# are `aten::linear`: what else multiplies matrices multiplies two activations.
ATTENTION = r".*/aten::(matmul|bmm|scaled_dot_product_attention)/.*"
HEAD = r".*\.(classifier|pooler|score|head)[./].*"


def run(slug: str) -> None:
    """Write the variants made from `openvino`, and what recovered ones cost in speed."""
    acceptance = recipe_search.open_acceptance(slug)
    costs: dict[str, Cost] = {}

    def make(row: VariantRow, folder: Path, overrides: dict[str, Any]) -> Built:
        check_overrides(row, overrides)
        parent = parent_graph(slug, PARENT)
        inputs = load_record(slug, PARENT).inputs
        if row.preset in ("fp16", "bf16"):
            in_child(half_precision.halve, parent, folder / row.file_name, row.preset, weights=None)
            return Built(recipe={"preset": row.preset, "dtype": row.preset}, inputs=inputs)
        static = row.preset == "static"
        quantise = partial(
            static_int8.quantise,
            parent=parent,
            source=paths.source(slug),
            base=row.preset,
            calibration=calibration_rows(slug, inputs) if static else [],
        )

        def build(tried: Recipe, place: Path) -> Built:
            target = place / row.file_name
            # The fields of static int8 mean nothing to int8 weights.
            used = {} if static and tried.changes.get(WEIGHTS_ONLY) else overrides
            built = in_child(partial(quantise, target=target, overrides=used, changes=tried.changes), weights=None)
            for suffix in (".xml", ".bin"):
                (place / "openvino_model").with_suffix(suffix).rename(target.with_suffix(suffix))
            name = {} if tried.name == PLAIN else {"fallback": tried.name}
            return msgspec.structs.replace(built, recipe={**built.recipe, **name})

        recipes = fallback_recipes(parent, overrides, acceptance) if static else weight_recipes(overrides)
        outcome = recipe_search.search(acceptance, row, folder, recipes, build)
        if outcome.cost:
            costs[row.id] = outcome.cost
        return outcome.built

    build_step(slug, "quantize_openvino", make)
    recipe_search.write_costs(paths.fallback_costs(slug, "openvino"), costs)


def check_overrides(row: VariantRow, overrides: dict[str, Any]) -> None:
    """Raise RegistryError for what is no field of optimum-intel's configuration; half precision has none."""
    fields = {} if row.preset in ("fp16", "bf16") else static_int8.fields(weights_only=row.preset != "static")
    check_recipe(row.id, overrides, fields)


def fallback_recipes(parent: Path, overrides: dict[str, Any], acceptance: Acceptance | None) -> Iterator[Recipe]:
    """The plain static recipe, then gentler ones: the cheap in speed first, what has to be measured after them, full
    bias correction, which takes long to build, and at last int8 weights with float activations.

    optimum-intel's preset is `mixed` already. nncf's accuracy control is not among them: it ranks layers by running the
    validation set once a layer, where `sensitivity` needs one pass for all.
    """

    def recipe(name: str, **changes: Any) -> Recipe:
        if "ignored_scope" in changes:
            changes["ignored_scope"] = _joined(overrides.get("ignored_scope") or {}, changes["ignored_scope"])
        return Recipe(name=name, changes=changes, settings={**plain(overrides), **plain(changes)})

    attention = _scope()
    yield recipe(PLAIN)
    yield recipe("float-attention", ignored_scope=attention)
    yield recipe("float-embeddings-and-head", ignored_scope=_scope(ends=True))
    yield recipe("smooth-quant-0.5", ignored_scope=attention, smooth_quant_alpha=0.5)
    yield recipe("no-smooth-quant", ignored_scope=attention, smooth_quant_alpha=-1)
    yield recipe("reduced-range", ignored_scope=attention, overflow_fix="enable")
    assert acceptance is not None  # without one nobody asks for a second recipe
    batches = acceptance.batches(SENSITIVITY_PAIRS)
    ranked = sensitivity.or_nothing(partial(in_child, sensitivity.ranked_openvino, parent, batches, weights=None))
    for count, names in sensitivity.steps(ranked):
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


def _scope(*, ends: bool = False, names: Sequence[str] = ()) -> dict[str, Any]:
    """nncf's ignored scope: products of two activations; with `ends`, embeddings and head; and `names`."""
    scope: dict[str, Any] = {"patterns": [ATTENTION, *([HEAD] if ends else [])], "validate": False}
    return scope | ({"types": ["Gather"]} if ends else {}) | ({"names": list(names)} if names else {})


def _joined(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Two ignored scopes: what either ignores."""
    joined = {**one, **other}
    for name in one.keys() & other.keys():
        if isinstance(one[name], list):
            joined[name] = [*one[name], *(item for item in other[name] if item not in one[name])]
    return joined


def calibration_rows(slug: str, inputs: tuple[str, ...]) -> Rows:
    """Tokenised pairs, each padded to a multiple of 16 tokens.

    Little padding is what the runtime sees as well, and OpenVINO compiles anew for every length that it meets.
    """
    params = load_params().quantize_openvino
    spec = load_spec(slug)
    tokenizer = torch_model.load_tokenizer(paths.source(slug))
    pairs = read_pairs(paths.calibration(slug)).pairs[: params.calibration_rows]
    rows = [
        tokenizer(
            pair.query,
            pair.passage,
            truncation="longest_first",
            max_length=min(params.max_length, spec.max_length),
            padding=True,
            pad_to_multiple_of=LENGTH_STEP,
            return_token_type_ids="token_type_ids" in inputs,
        )
        for pair in pairs
    ]
    return [{name: row[name] for name in inputs} for row in rows]
