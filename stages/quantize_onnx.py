"""Stage `quantize_onnx`: dynamic int8, one preset of optimum per instruction set, by onnxruntime's quantiser.

A variant that misses its thresholds is built again with fallback recipes (stages/fallback/). Presets that resolve to
the same settings are quantised once.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from artificer import host
from artificer.manifest import canonical_json
from stages.building.build_step import Built, build_step, parent_graph
from stages.building.recipes import plain
from stages.core import paths
from stages.core.child_process import in_child
from stages.core.copying import copy_file
from stages.core.variants import PLAIN_EXPORT, VariantRow
from stages.fallback import recipe_search
from stages.fallback.acceptance import open_acceptance
from stages.fallback.recipe import PLAIN, Recipe
from stages.fallback.recipe_search import Outcome
from stages.records.fallback_costs import Cost, write_costs
from stages.toolchain.onnx import dynamic_int8, sidecars
from stages.toolchain.onnx.fallback_recipes import fallback_recipes
from stages.toolchain.onnx.int8_presets import preset_settings


def run(slug: str, tools: Sequence[str]) -> None:
    """Write the variants onnx-qint8-… and onnx-quint8-avx2, and what their fallback recipes cost in speed."""
    acceptance = open_acceptance(slug)
    costs: dict[str, Cost] = {}
    done: dict[bytes, tuple[VariantRow, Path, Outcome]] = {}

    def make(row: VariantRow, folder: Path, overrides: dict[str, Any]) -> Built:
        parent = parent_graph(slug, PLAIN_EXPORT)
        preset = preset_settings(row, overrides)
        recipe = {"preset": row.preset, "overrides": plain(overrides)}

        def build(tried: Recipe, place: Path) -> Built:
            target = place / row.file_name
            opset, inputs = in_child(_quantise, parent, preset, tried.changes, target, weights=parent)
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

    build_step(slug, "quantize_onnx", tools, make)
    write_costs(paths.fallback_costs(slug, "onnx"), host.detect(), costs)


def _quantise(parent: Path, preset: Any, changes: dict[str, Any], target: Path) -> tuple[int, tuple[str, ...]]:
    """`dynamic_int8.quantise` with changes of a preset applied."""
    settings = dynamic_int8.settings_with(preset, changes)
    return dynamic_int8.quantise(parent, settings, target, bool(changes.get(dynamic_int8.CONST_B_ONLY)))


def _copied(source: tuple[VariantRow, Path, Outcome], row: VariantRow, folder: Path, recipe: dict[str, Any]) -> Outcome:
    """The same graph under another name. A graph names its sidecar, so it is written again where it has one."""
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
