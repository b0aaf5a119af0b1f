"""Stage `quantize_onnx`: dynamic int8, one preset of optimum per instruction set, by onnxruntime's quantiser.

A variant that misses its thresholds is built again with fallback recipes (`fallback_recipes`,
stages/fallback/recipe_search.py).
Presets that resolve to the same settings are quantised once.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from artificer.manifest import canonical_json
from stages.building.variant_builder import Built, build_step, check_recipe, parent_graph, plain
from stages.core import paths
from stages.core.child_process import in_child
from stages.core.copying import copy_file
from stages.core.errors import RegistryError
from stages.core.variants import PLAIN_EXPORT, VariantRow
from stages.fallback import recipe_search, sensitivity
from stages.fallback.recipe_search import PLAIN, Acceptance, Cost, Outcome, Recipe
from stages.toolchain.onnx import dynamic_int8, sidecars

SENSITIVITY_PAIRS = 8


def run(slug: str) -> None:
    """Write the variants onnx-qint8-… and onnx-quint8-avx2, and what recovered ones cost in speed."""
    acceptance = recipe_search.open_acceptance(slug)
    costs: dict[str, Cost] = {}
    done: dict[bytes, tuple[VariantRow, Path, Outcome]] = {}

    def make(row: VariantRow, folder: Path, overrides: dict[str, Any]) -> Built:
        parent = parent_graph(slug, PLAIN_EXPORT)
        preset = preset_settings(row, overrides)
        recipe = {"preset": row.preset, "overrides": plain(overrides)}

        def build(tried: Recipe, place: Path) -> Built:
            target = place / row.file_name
            opset, inputs = in_child(quantise, parent, preset, tried.changes, target, weights=parent)
            name = {} if tried.name == PLAIN else {"fallback": tried.name}
            return Built(recipe={**recipe, **name, "settings": tried.settings}, opset=opset, inputs=inputs)

        key = canonical_json(dynamic_int8.described(preset, {}))
        if key in done:
            outcome = _copied(done[key], row, folder, recipe)
        else:
            outcome = recipe_search.search(acceptance, row, folder, fallback_recipes(parent, preset, acceptance), build)
        done.setdefault(key, (row, folder, outcome))
        if outcome.cost:
            costs[row.id] = outcome.cost
        return outcome.built

    build_step(slug, "quantize_onnx", make)
    recipe_search.write_costs(paths.fallback_costs(slug, "onnx"), costs)


def preset_settings(row: VariantRow, overrides: dict[str, Any]) -> Any:
    """optimum's QuantizationConfig of a variant."""
    from optimum.onnxruntime import AutoQuantizationConfig

    settings = getattr(AutoQuantizationConfig, row.preset)(is_static=False)
    apply_overrides(settings, overrides, row.id)
    return settings


def check_overrides(row: VariantRow, overrides: dict[str, Any]) -> None:
    """Raise RegistryError for what is no field of optimum's QuantizationConfig."""
    preset_settings(row, overrides)


def fallback_recipes(parent: Path, preset: Any, acceptance: Acceptance | None) -> Iterator[Recipe]:
    """The plain recipe, then gentler ones: the cheap in speed first, what has to be measured last.

    optimum's presets are per channel already, so that step is one only where a recipe of params.yaml says otherwise.
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
    assert acceptance is not None  # without one nobody asks for a second recipe
    with tempfile.TemporaryDirectory() as scratch:
        batches = acceptance.batches(SENSITIVITY_PAIRS)
        work = Path(scratch)
        ranked = sensitivity.or_nothing(
            partial(in_child, sensitivity.ranked_onnx, parent, batches, work, weights=parent)
        )
    names: list[str] = []
    for count, names in sensitivity.steps(ranked):
        yield recipe(f"float-{count}-most-sensitive", **attention, nodes_to_exclude=names, per_channel=True)
    both = sorted({*ends, *names})
    yield recipe("float-most-sensitive-embeddings-and-head", **attention, nodes_to_exclude=both, per_channel=True)


def quantise(parent: Path, preset: Any, changes: dict[str, Any], target: Path) -> tuple[int, tuple[str, ...]]:
    """`dynamic_int8.quantise` with changes of a preset applied."""
    settings = dynamic_int8.settings_with(preset, changes)
    return dynamic_int8.quantise(parent, settings, target, bool(changes.get(dynamic_int8.CONST_B_ONLY)))


def apply_overrides(settings: Any, overrides: dict[str, Any], variant_id: str) -> None:
    """Set fields of a QuantizationConfig; types are written by name (`weights_dtype: QInt8`)."""
    from onnxruntime.quantization import QuantFormat, QuantizationMode, QuantType

    enumerations: dict[str, Any] = {
        "activations_dtype": QuantType,
        "weights_dtype": QuantType,
        "mode": QuantizationMode,
        "format": QuantFormat,
    }
    defaults = {field.name: getattr(settings, field.name) for field in fields(settings)}
    check_recipe(variant_id, overrides, {name: "" if name in enumerations else v for name, v in defaults.items()})
    for name, value in overrides.items():
        kind = enumerations.get(name)
        if kind is not None and value not in kind.__members__:
            raise RegistryError(f"recipes.{variant_id}.{name}: expected one of {', '.join(kind.__members__)}.")
        setattr(settings, name, kind[value] if kind is not None else value)


def _copied(source: tuple[VariantRow, Path, Outcome], row: VariantRow, folder: Path, recipe: dict[str, Any]) -> Outcome:
    """The same graph under another name. A sidecar's name stands in the graph, which is written anew then."""
    other, there, outcome = source
    copy_file(there / other.file_name, folder / row.file_name)
    sidecar = sidecars.sidecar_name(other.file_name)
    if (there / sidecar).exists():
        copy_file(there / sidecar, folder / sidecar)
        sidecars.normalise_sidecars(folder, row.file_name)
    built = msgspec.structs.replace(
        outcome.built,
        recipe={**outcome.built.recipe, **recipe},
        notes=(*outcome.built.notes, f"the same graph as {other.id}"),
        alias_of=other.id,
    )
    return Outcome(built=built, cost=outcome.cost)
