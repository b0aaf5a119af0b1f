"""Stage `quantize_onnx`: int8 ONNX graphs. Dynamic int8, one preset of optimum per instruction set, by onnxruntime's
quantiser; and static int8, calibrated on query-passage pairs.

A variant that misses its thresholds is built again with fallback recipes (stages/fallback/). Presets that resolve to
the same settings are quantised once.
"""

import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from artificer import host
from artificer.manifest import canonical_json
from stages.building.build_step import Built, build_step, parent_graph
from stages.building.calibration import calibration_rows
from stages.building.recipes import plain
from stages.core import paths
from stages.core.child_process import in_child
from stages.core.copying import copy_file
from stages.core.variants import PLAIN_EXPORT, VariantRow
from stages.fallback import recipe_search
from stages.fallback.acceptance import open_acceptance
from stages.fallback.layer_ranking import Batch
from stages.fallback.recipe import PLAIN, Recipe
from stages.fallback.recipe_search import Build, Outcome
from stages.records.fallback_costs import Cost, write_costs
from stages.records.variant_record import load_record
from stages.toolchain.onnx import calibrated_int8, dynamic_int8, sidecars
from stages.toolchain.onnx.fallback_recipes import fallback_recipes
from stages.toolchain.onnx.int8_presets import STATIC, preset_settings
from stages.toolchain.onnx.static_recipes import static_recipes


def run(slug: str, tools: Sequence[str]) -> None:
    """Write the variants onnx-qint8-… and onnx-quint8-avx2, and what their fallback recipes cost in speed."""
    acceptance = open_acceptance(slug)
    costs: dict[str, Cost] = {}
    done: dict[bytes, tuple[VariantRow, Path, Outcome]] = {}

    def make(row: VariantRow, folder: Path, overrides: dict[str, Any]) -> Built:
        parent = parent_graph(slug, PLAIN_EXPORT)
        if row.preset == STATIC:
            recipes, build = _static(slug, parent, row, overrides, acceptance)
            outcome = recipe_search.search(acceptance, row, folder, recipes, build)
        else:
            outcome = dynamic(parent, row, folder, overrides)
        if outcome.cost:
            costs[row.id] = outcome.cost
        return outcome.built

    def dynamic(parent: Path, row: VariantRow, folder: Path, overrides: dict[str, Any]) -> Outcome:
        preset = preset_settings(row, overrides)
        recipe = {"preset": row.preset, "overrides": plain(overrides)}
        key = canonical_json(dynamic_int8.described(preset, {}))
        if key in done:
            outcome = _copied(done[key], row, folder, recipe)
        else:
            build = _builder(row, recipe, partial(_quantise, parent, preset), parent)
            outcome = recipe_search.search(acceptance, row, folder, fallback_recipes(parent, preset, acceptance), build)
        done.setdefault(key, (row, folder, outcome))
        return outcome

    build_step(slug, "quantize_onnx", tools, make)
    write_costs(paths.fallback_costs(slug, "onnx"), host.detect(), costs)


def _static(
    slug: str, parent: Path, row: VariantRow, overrides: dict[str, Any], acceptance: Any
) -> tuple[Iterator[Recipe], Build]:
    """The recipes of static int8, and what builds one. The ranges of activations are measured once for all."""
    settings = calibrated_int8.settings_of(row, overrides)
    rows = calibration_rows(slug, load_record(slug, PLAIN_EXPORT).inputs)
    texts: list[Batch] = [{name: np.array([ids], dtype=np.int64) for name, ids in each.items()} for each in rows]
    with tempfile.TemporaryDirectory() as scratch:
        ranges = in_child(calibrated_int8.channel_ranges, parent, texts, Path(scratch), weights=parent)

    recipe = {"preset": row.preset, "overrides": plain(overrides), "calibration_rows": len(texts)}
    return static_recipes(parent, settings, acceptance), _builder(
        row, recipe, partial(_quantise_static, parent, settings, ranges), parent
    )


def _builder(row: VariantRow, recipe: dict[str, Any], quantise: Any, parent: Path) -> Build:
    """What builds one recipe: `quantise(changes, target)`, in a process of its own for a large model."""

    def build(tried: Recipe, place: Path) -> Built:
        opset, inputs = in_child(quantise, tried.changes, place / row.file_name, weights=parent)
        name = {} if tried.name == PLAIN else {"fallback": tried.name}
        return Built(recipe={**recipe, **name, "settings": tried.settings}, opset=opset, inputs=inputs)

    return build


def _quantise(parent: Path, preset: Any, changes: dict[str, Any], target: Path) -> tuple[int, tuple[str, ...]]:
    """`dynamic_int8.quantise` with changes of a preset applied."""
    settings = dynamic_int8.settings_with(preset, changes)
    return dynamic_int8.quantise(parent, settings, target, bool(changes.get(dynamic_int8.CONST_B_ONLY)))


def _quantise_static(
    parent: Path, settings: Any, ranges: Any, changes: dict[str, Any], target: Path
) -> tuple[int, tuple[str, ...]]:
    """`calibrated_int8.quantise` with changes of its settings applied."""
    return calibrated_int8.quantise(parent, calibrated_int8.settings_with(settings, changes), ranges, target)


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
