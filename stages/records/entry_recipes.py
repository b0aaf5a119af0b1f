"""recipes/<step>.json: the overrides of an entry by variant id, a file for each step.

They are not part of spec.json, which every step depends on: a changed recipe re-runs its own step alone.
"""

from typing import Any, get_args

import msgspec

from artificer.manifest import canonical_json
from stages.core import files, paths
from stages.core.variants import Step, row

Overrides = dict[str, dict[str, Any]]


def write_recipes(slug: str, overrides: Overrides) -> None:
    """Write the file of every step, an empty mapping where the entry changes nothing."""
    for step in get_args(Step):
        own = {variant_id: fields for variant_id, fields in overrides.items() if row(variant_id).step == step}
        files.write_file(paths.recipes(slug, step), canonical_json(own))


def load_recipes(slug: str, step: Step) -> Overrides:
    """The entry's overrides of one step."""
    return msgspec.json.decode(paths.recipes(slug, step).read_bytes(), type=Overrides)
