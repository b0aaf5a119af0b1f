"""One recipe to try, and the record of an attempt that has no figures."""

from typing import Any

from msgspec import Struct

from artificer.manifest import Attempt

PLAIN = "plain"


class Recipe(Struct, frozen=True, kw_only=True):
    """`changes` to the plain recipe, by name; `settings` is the whole, by which equal recipes are recognised."""

    name: str
    changes: dict[str, Any]
    settings: dict[str, Any]


def without_figures(recipe: Recipe, size: int, reason: str) -> Attempt:
    """The record of a recipe whose graph could not be built or run."""
    return Attempt(
        recipe=recipe.name,
        changes=recipe.changes,
        metrics={},
        quality_ratio=None,
        size_bytes=size,
        missed=(reason,),
    )
