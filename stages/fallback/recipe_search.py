"""Fallback recipes for an int8 variant that misses its thresholds: tried in a fixed order, until one passes or the
budget of params.yaml is spent.

int8 arithmetic depends on the instruction set, so the record names the one that it was judged on: the building host's.
What is deterministic goes into variant.json. The cost in speed is not, and goes into a file of its own
(`paths.fallback_costs`).
"""

import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec import Struct

from artificer.manifest import Attempt, Fallback, canonical_json
from stages.building.build_step import Built
from stages.core.errors import BuildError, first_line
from stages.core.variants import VariantRow
from stages.fallback.acceptance import Acceptance
from stages.fallback.recipe import Recipe, without_figures
from stages.records.fallback_costs import Cost

Build = Callable[[Recipe, Path], Built]


class Outcome(Struct, frozen=True, kw_only=True):
    """What is in the variant's folder, with the record of the attempts; and what a fallback recipe costs in speed."""

    built: Built
    cost: Cost | None


class _Graph(NamedTuple):
    recipe: Recipe
    place: Path
    built: Built


def search(
    acceptance: Acceptance | None, row: VariantRow, folder: Path, recipes: Iterable[Recipe], build: Build
) -> Outcome:
    """Fill `folder` with the first recipe that passes, else with the plain one, which is the first of `recipes`.

    `build(recipe, folder)` writes the graph and its sidecars. What it raises for the plain recipe is the variant's
    outcome; a fallback recipe that cannot be built counts as an attempt that missed. Without `acceptance` the plain
    recipe is kept.
    """
    workshop = folder / "attempts"
    different = _without_repeats(recipes)
    plain = _built(next(different), workshop / "0", build)
    if acceptance is None:
        return _keep(plain, folder, None, None)
    attempts = [acceptance.attempt(row, plain.recipe, plain.built, plain.place)]
    _print(row, attempts[0])
    kept = None if attempts[0].missed else plain
    while kept is None and len(attempts) <= acceptance.most and (recipe := next(different, None)) is not None:
        place = workshop / str(len(attempts))
        try:
            tried = _built(recipe, place, build)
            attempts.append(acceptance.attempt(row, recipe, tried.built, place))
        except BuildError:
            raise
        except Exception as error:  # as in build_step: a library may raise anything
            attempts.append(without_figures(recipe, 0, f"it cannot be built: {first_line(error)}"))
        _print(row, attempts[-1])
        if attempts[-1].missed:
            shutil.rmtree(place)
        else:
            kept = tried
    cost = None
    if kept is not None and kept is not plain and attempts[0].metrics:  # else plain does not even run
        cost = acceptance.time(row, plain.place, kept.place, kept.built)
        print(f"{row.id:24} kept {kept.recipe.name}, {cost.speed_ratio:.2f}x the plain recipe's speed", flush=True)
    return _keep(kept or plain, folder, _record(acceptance, attempts, kept), cost)


def _without_repeats(recipes: Iterable[Recipe]) -> Iterator[Recipe]:
    """A step that changes nothing for this preset costs no attempt."""
    seen: set[bytes] = set()
    for recipe in recipes:
        key = canonical_json(recipe.settings)
        if key not in seen:
            seen.add(key)
            yield recipe


def _built(recipe: Recipe, place: Path, build: Build) -> _Graph:
    place.mkdir(parents=True)
    return _Graph(recipe, place, build(recipe, place))


def _record(acceptance: Acceptance, attempts: list[Attempt], kept: _Graph | None) -> Fallback | None:
    """None where the plain recipe passed."""
    if not attempts[0].missed:
        return None
    return Fallback(
        rows=acceptance.rows,
        isa_class=acceptance.host.isa_class,
        attempts=tuple(attempts),
        won=None if kept is None else kept.recipe.name,
        size_ratio=None if kept is None else round(attempts[-1].size_bytes / attempts[0].size_bytes, 3),
    )


def _keep(graph: _Graph, folder: Path, record: Fallback | None, cost: Cost | None) -> Outcome:
    """Move the graph from the workshop into the variant's folder."""
    for path in graph.place.iterdir():
        path.rename(folder / path.name)
    shutil.rmtree(graph.place.parent)
    return Outcome(built=msgspec.structs.replace(graph.built, fallback=record), cost=cost)


def _print(row: VariantRow, attempt: Attempt) -> None:
    print(f"{row.id:24} {attempt.recipe}: {'; '.join(attempt.missed) or 'passed'}", flush=True)
