"""Stage `quantize_openvino`: static int8, calibrated on query-passage pairs; and, where an entry lists them, int8
weights, fp16 and bf16. All are made from the float32 IR.

An int8 variant that misses its thresholds is built again with fallback recipes (stages/fallback/).
"""

from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from artificer import host
from stages.building.build_step import Built, Tools, build_step, parent_graph
from stages.building.calibration import Rows, calibration_rows, rows_of_one_length
from stages.core import paths
from stages.core.child_process import in_child
from stages.core.variants import VariantRow
from stages.fallback import recipe_search
from stages.fallback.acceptance import open_acceptance
from stages.fallback.recipe import PLAIN, Recipe
from stages.records.fallback_costs import Cost, write_costs
from stages.records.model_spec import load_spec
from stages.records.variant_record import load_record
from stages.toolchain.openvino import half_precision, static_int8
from stages.toolchain.openvino.fallback_recipes import fallback_recipes, weight_recipes
from stages.toolchain.openvino.static_int8 import WEIGHTS_ONLY, Job, check_overrides

PARENT = "openvino"
LENGTH_STEP = 16  # tokens: OpenVINO compiles again for every new length, and the runtime pads little as well


def run(slug: str, tools: Tools) -> None:
    """Write the variants made from `openvino`, and what their fallback recipes cost in speed."""
    acceptance = open_acceptance(slug)
    costs: dict[str, Cost] = {}

    def make(row: VariantRow, folder: Path, overrides: dict[str, Any]) -> Built:
        check_overrides(row, overrides)
        parent = parent_graph(slug, PARENT)
        inputs = load_record(slug, PARENT).inputs
        if row.preset in ("fp16", "bf16"):
            in_child(half_precision.halve, parent, folder / row.file_name, row.preset, weights=None)
            return Built(recipe={"preset": row.preset, "dtype": row.preset}, inputs=inputs)
        static = row.preset == "static"
        calibration = _calibration(slug, inputs) if static else []
        job = Job(parent=parent, source=paths.source(slug), preset=row.preset, calibration=calibration)

        def build(tried: Recipe, place: Path) -> Built:
            target = place / row.file_name
            # The fields of static int8 do not apply to int8 weights.
            used = {} if static and tried.changes.get(WEIGHTS_ONLY) else overrides
            built = in_child(partial(static_int8.quantise, job, target, used, tried.changes), weights=None)
            for suffix in (".xml", ".bin"):
                (place / "openvino_model").with_suffix(suffix).rename(target.with_suffix(suffix))
            name = {} if tried.name == PLAIN else {"fallback": tried.name}
            return msgspec.structs.replace(built, recipe={**built.recipe, **name})

        recipes = fallback_recipes(parent, overrides, acceptance) if static else weight_recipes(overrides)
        outcome = recipe_search.search(acceptance, row, folder, recipes, build)
        if outcome.cost:
            costs[row.id] = outcome.cost
        return outcome.built

    build_step(slug, "quantize_openvino", tools, make)
    write_costs(paths.fallback_costs(slug, "openvino"), host.detect(), costs)


def _calibration(slug: str, inputs: tuple[str, ...]) -> Rows:
    """Rows of a model that padding changes are not padded. nncf compares activations of one shape alone where a graph
    mixes tokens before they are counted, as those models do, so the rows are of one length."""
    if load_spec(slug).padded:
        return calibration_rows(slug, inputs, length_step=LENGTH_STEP)
    return rows_of_one_length(slug, inputs)
