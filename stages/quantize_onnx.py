"""Stage `quantize_onnx`: int8 ONNX graphs. Dynamic int8, one preset of optimum per instruction set, by onnxruntime's
quantiser, equal presets once; and static int8, calibrated on query-passage pairs.

A variant that misses its thresholds is built again with fallback recipes (stages/fallback/). Plain recipes are built at
the same time; fallback recipes wait for all of them.
"""

import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from artificer import host
from artificer.manifest import canonical_json
from stages.building.ahead import Ahead
from stages.building.build_step import Built, Tools, WantedRow, build_step, parent_graph, wanted_rows
from stages.building.calibration import calibration_rows
from stages.building.recipes import plain
from stages.core import files, paths
from stages.core.child_process import in_child
from stages.core.copying import copy_file
from stages.core.variants import PLAIN_EXPORT, Step, VariantRow
from stages.fallback.acceptance import open_acceptance
from stages.fallback.recipe import PLAIN, Recipe
from stages.fallback.recipe_search import Build, Outcome, search
from stages.records.fallback_costs import Cost, write_costs
from stages.records.variant_record import load_record
from stages.toolchain.onnx import calibrated_int8, dynamic_int8, sidecars
from stages.toolchain.onnx.fallback_recipes import fallback_recipes
from stages.toolchain.onnx.int8_presets import STATIC, preset_settings
from stages.toolchain.onnx.static_recipes import static_recipes

STEP: Step = "quantize_onnx"
RANGES = "ranges"  # of the activations, for static int8

Quantise = Callable[[dict[str, Any], Path], tuple[int, tuple[str, ...]]]  # settings to change, target: opset, inputs


def run(slug: str, tools: Tools, at_once: int) -> None:
    """Write the variants onnx-qint8-… and onnx-quint8-avx2, and what their fallback recipes cost in speed."""
    wanted, costs = wanted_rows(slug, STEP), dict[str, Cost]()
    done: dict[bytes, tuple[VariantRow, Path, Outcome]] = {}
    with files.work_folder(paths.step(slug, STEP)) as work, Ahead(at_once) as ahead:
        _begin(slug, wanted, work, ahead)
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
            if (key := _key(preset)) in done:
                outcome = _copied(done[key], row, folder, recipe)
            else:
                build = _builder(row, recipe, partial(dynamic_int8.quantise, parent, preset), parent, ahead, work)
                outcome = search(acceptance, row, folder, fallback_recipes(parent, preset, acceptance), build)
            done.setdefault(key, (row, folder, outcome))
            return outcome

        def static(parent: Path, row: VariantRow, folder: Path, overrides: dict[str, Any]) -> Outcome:
            settings = calibrated_int8.settings_of(row, overrides)
            ranges, count = ahead.result(RANGES, lambda: in_child(_ranges, slug, parent, work, weights=parent))
            recipe = {"preset": row.preset, "overrides": plain(overrides), "calibration_rows": count}
            quantise = partial(calibrated_int8.quantise, parent, settings, ranges)
            build = _builder(row, recipe, quantise, parent, ahead, work)
            return search(acceptance, row, folder, static_recipes(parent, settings, acceptance), build)

        build_step(slug, STEP, tools, make)
    write_costs(paths.fallback_costs(slug, "onnx"), host.detect(), costs)


def _begin(slug: str, wanted: list[WantedRow], work: Path, ahead: Ahead) -> None:
    """Begin the plain graph of each different preset, in a folder of `work`, and the ranges of static int8."""
    if load_record(slug, PLAIN_EXPORT).status != "built":
        return  # each variant's record will say so
    parent, seen = parent_graph(slug, PLAIN_EXPORT), set[bytes]()
    for row, overrides in wanted:
        if row.preset == STATIC:
            ahead.begin(RANGES, _ranges, slug, parent, work)
        elif (key := _key(preset := preset_settings(row, overrides))) not in seen:
            seen.add(key)
            (work / row.id).mkdir()
            target = work / row.id / row.file_name
            ahead.begin(f"{row.id} {PLAIN}", dynamic_int8.quantise, parent, preset, {}, target)


def _key(preset: Any) -> bytes:
    """The same for presets that give the same graph."""
    return canonical_json(dynamic_int8.described(preset, {}))


def _ranges(slug: str, parent: Path, work: Path) -> tuple[dict[str, calibrated_int8.ChannelRange], int]:
    """The ranges of activations, which are measured once for all recipes, and the number of calibration pairs."""
    rows = calibration_rows(slug, load_record(slug, PLAIN_EXPORT).inputs)
    with tempfile.TemporaryDirectory(dir=work) as scratch:
        return calibrated_int8.channel_ranges(parent, rows, Path(scratch)), len(rows)


def _builder(
    row: VariantRow, recipe: dict[str, Any], quantise: Quantise, parent: Path, ahead: Ahead, work: Path
) -> Build:
    """The function that builds one recipe, in a child process for a large model."""

    def build(tried: Recipe, place: Path) -> Built:
        def alone() -> tuple[int, tuple[str, ...]]:
            shutil.rmtree(work / row.id, ignore_errors=True)  # of one that was killed
            return in_child(quantise, tried.changes, place / row.file_name, weights=parent)

        opset, inputs = ahead.result(f"{row.id} {tried.name}", alone)
        for path in (work / row.id).iterdir() if (work / row.id).exists() else ():
            path.rename(place / path.name)
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
