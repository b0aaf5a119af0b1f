"""Stage `quantize_onnx`: int8 ONNX graphs. Dynamic int8, one preset of optimum per instruction set, by onnxruntime's
quantiser, equal presets once; and static int8, calibrated on query-passage pairs.

A variant that misses its thresholds is built again with fallback recipes (stages/fallback/). Plain recipes are built at
the same time; fallback recipes wait for all of them.
"""

import tempfile
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from artificer import host
from artificer.manifest import canonical_json
from stages.building.build_step import Built, Tools, build_step, parent_graph, wanted_rows
from stages.building.calibration import calibration_rows
from stages.building.recipes import plain
from stages.core import files, paths
from stages.core.child_process import in_child
from stages.core.copying import copy_file
from stages.core.variants import PLAIN_EXPORT, Step, VariantRow
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

STEP: Step = "quantize_onnx"

Quantise = Callable[[dict[str, Any], Path], tuple[int, tuple[str, ...]]]  # settings to change, target: opset, inputs
# Builds that started early, by variant id: the plain graph, or the ranges for static int8.
Ahead = dict[str, Future[Any]]


def run(slug: str, tools: Tools, at_once: int) -> None:
    """Write the variants onnx-qint8-… and onnx-quint8-avx2, and what their fallback recipes cost in speed."""
    costs: dict[str, Cost] = {}
    done: dict[bytes, tuple[VariantRow, Path, Outcome]] = {}
    with files.work_folder(paths.step(slug, STEP)) as work, ThreadPoolExecutor(at_once) as pool:
        ahead = _begin(slug, work, pool) if at_once > 1 else {}
        acceptance = open_acceptance(slug)

        def make(row: VariantRow, folder: Path, overrides: dict[str, Any]) -> Built:
            parent = parent_graph(slug, PLAIN_EXPORT)
            outcome = (static if row.preset == STATIC else dynamic)(parent, row, folder, overrides)
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
                build = _builder(row, recipe, partial(dynamic_int8.quantise, parent, preset), parent, ahead, work)
                recipes = fallback_recipes(parent, preset, acceptance)
                outcome = recipe_search.search(acceptance, row, folder, recipes, build)
            done.setdefault(key, (row, folder, outcome))
            return outcome

        def static(parent: Path, row: VariantRow, folder: Path, overrides: dict[str, Any]) -> Outcome:
            settings, texts = calibrated_int8.settings_of(row, overrides), _texts(slug)
            ranges = ahead[row.id].result() if row.id in ahead else _ranges(parent, texts, weights=parent)
            recipe = {"preset": row.preset, "overrides": plain(overrides), "calibration_rows": len(texts)}
            quantise = partial(calibrated_int8.quantise, parent, settings, ranges)
            build = _builder(row, recipe, quantise, parent, ahead, work)
            return recipe_search.search(acceptance, row, folder, static_recipes(parent, settings, acceptance), build)

        build_step(slug, STEP, tools, make)
    write_costs(paths.fallback_costs(slug, "onnx"), host.detect(), costs)


def _begin(slug: str, work: Path, pool: ThreadPoolExecutor) -> Ahead:
    """Start to build the plain graph of each different preset, and to measure the ranges, each in a child process."""
    if load_record(slug, PLAIN_EXPORT).status != "built":
        return {}  # each variant's record will say so
    parent, found, seen = parent_graph(slug, PLAIN_EXPORT), Ahead(), set[bytes]()
    for row, overrides in wanted_rows(slug, STEP):
        if row.preset == STATIC:
            found[row.id] = pool.submit(_ranges, parent, _texts(slug), weights=None)
            continue
        preset = preset_settings(row, overrides)
        key = canonical_json(dynamic_int8.described(preset, {}))
        if key not in seen:
            seen.add(key)
            (work / row.id).mkdir()
            target = work / row.id / row.file_name
            found[row.id] = pool.submit(in_child, dynamic_int8.quantise, parent, preset, {}, target, weights=None)
    return found


def _texts(slug: str) -> list[Batch]:
    """The calibration pairs, each a batch of its own."""
    rows = calibration_rows(slug, load_record(slug, PLAIN_EXPORT).inputs)
    return [{name: np.array([ids], dtype=np.int64) for name, ids in each.items()} for each in rows]


def _ranges(parent: Path, texts: list[Batch], *, weights: Path | None) -> dict[str, calibrated_int8.ChannelRange]:
    """The ranges of activations, which are measured once for all recipes."""
    with tempfile.TemporaryDirectory() as scratch:
        return in_child(calibrated_int8.channel_ranges, parent, texts, Path(scratch), weights=weights)


def _builder(
    row: VariantRow, recipe: dict[str, Any], quantise: Quantise, parent: Path, ahead: Ahead, work: Path
) -> Build:
    """The function that builds one recipe, in a child process for a large model."""

    def build(tried: Recipe, place: Path) -> Built:
        if tried.name == PLAIN and (work / row.id).exists():
            opset, inputs = ahead[row.id].result()
            for path in (work / row.id).iterdir():
                path.rename(place / path.name)
        else:
            wait(ahead.values())  # what is built here may be timed, and nothing else should run then
            opset, inputs = in_child(quantise, tried.changes, place / row.file_name, weights=parent)
        name = {} if tried.name == PLAIN else {"fallback": tried.name}
        return Built(recipe={**recipe, **name, "settings": tried.settings}, opset=opset, inputs=inputs)

    return build


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
