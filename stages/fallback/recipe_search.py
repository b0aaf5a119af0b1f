"""Fallback recipes for an int8 variant that misses its thresholds: tried in a fixed order, until one passes or the
budget of params.yaml is spent.

The judgement is that of `pack` (stages/metrics/verdicts.py), asked of fewer pairs. int8 arithmetic depends on the
instruction set, so the record says on which one it was judged: the building host's. What is deterministic goes into
variant.json; what the kept recipe costs in speed does not, and goes into a file of its own (`paths.fallback_costs`).
"""

import shutil
import statistics
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from artificer import host as hosts
from artificer.backends import open_session
from artificer.inference import scoring
from artificer.inference.tokenization import PairTokenizer
from artificer.manifest import Attempt, Fallback, Metrics, Quality, canonical_json
from artificer.tasks import TASKS
from stages import data
from stages.building.variant_builder import Built
from stages.core import files, paths
from stages.core.errors import BuildError, DataError, first_line
from stages.core.params import ClassThresholds, load_params
from stages.core.variants import VariantRow
from stages.metrics.differences import differences
from stages.metrics.verdicts import missed
from stages.records.model_spec import load_spec
from stages.reference import load_reference
from stages.tasks import BUILDING_TASKS

PLAIN = "plain"
SPEED_PAIRS, SPEED_ROUNDS = 64, 5
JUDGED = tuple(name for name in ClassThresholds.__struct_fields__ if name != "quality_ratio")


class Recipe(Struct, frozen=True, kw_only=True):
    """`changes` of the plain recipe, by name; `settings` is the whole, so that equal recipes are tried once."""

    name: str
    changes: dict[str, Any]
    settings: dict[str, Any]


class Cost(Struct, frozen=True, kw_only=True):
    """Pairs a second of the kept recipe and of the plain one, and the median over the rounds of their ratio."""

    pairs_per_second: float
    plain_pairs_per_second: float
    speed_ratio: float


class Costs(Struct, frozen=True, kw_only=True):
    """What `paths.fallback_costs` holds: costs by variant id, as timed on one host."""

    host: str
    threads: int
    variants: dict[str, Cost]


class Outcome(Struct, frozen=True, kw_only=True):
    """What stands in the variant's folder, and how it came to that."""

    built: Built
    cost: Cost | None


Build = Callable[[Recipe, Path], Built]


class Acceptance:
    """The thresholds of int8, and the pairs and reference logits that an attempt is held against."""

    def __init__(self, slug: str):
        self.params, self.spec = load_params(), load_spec(slug)
        self.most = self.params.fallback.attempts_for(self.spec.parameters)
        self.rows = min(self.params.fallback.rows, self.params.parity.rows)
        evaluation = data.read_pairs(paths.evaluation(slug))
        chosen = evaluation.pairs[: self.rows]
        self.pairs = [(pair.query, pair.passage) for pair in chosen]
        self.rows = len(self.pairs)
        task = BUILDING_TASKS[self.spec.task]
        fits = task.unfit(self.spec.labels, chosen) is None
        self.judge = task.quality(self.spec.labels, chosen, self.params.data.relevant_from) if fits else None
        self.expected = np.asarray(load_reference(slug).logits[: self.rows], dtype=np.float32)
        self.host = hosts.detect()

    def attempt(self, row: VariantRow, recipe: Recipe, built: Built, folder: Path) -> Attempt:
        """The graph in `folder` measured and judged. What a runtime refuses is a miss, with its reason."""
        size = sum(path.stat().st_size for path in folder.iterdir())
        try:
            session = open_session(
                row.backend,
                folder / row.file_name,
                threads=self.host.cores,
                execution_precision=row.execution_precision,
            )
            batch_size = self.params.parity.batch_size
            with closing(session):
                logits = scoring.logits(session, self._tokenizer(built), self.pairs, batch_size=batch_size)
            if not np.isfinite(logits).all():
                raise OverflowError("it returns infinite logits")
        except Exception as error:  # a runtime may refuse a graph in any way it likes
            return _without_figures(recipe, size, f"it cannot be run: {first_line(error)}")
        found = differences(
            TASKS[self.spec.task], logits, self.expected, self.spec.head, self.pairs, self.params.parity.top_k
        )
        quality = self._quality(logits)
        return Attempt(
            recipe=recipe.name,
            changes=recipe.changes,
            metrics={name: _short(name, found[name]) for name in JUDGED if name in found},
            quality_ratio=None if quality is None else round(quality.ratio, 4),
            size_bytes=size,
            missed=tuple(self._missed(row, found, quality)),
        )

    def time(self, row: VariantRow, plain: Path, kept: Path, built: Built) -> Cost:
        """Both graphs open at once, a round of the one, then of the other; the first round warms up."""
        pairs, batch_size = self.pairs[:SPEED_PAIRS], self.params.parity.batch_size
        tokenizer = self._tokenizer(built)
        sessions = [
            open_session(
                row.backend,
                folder / row.file_name,
                threads=self.host.cores,
                execution_precision=row.execution_precision,
            )
            for folder in (plain, kept)
        ]
        rounds = []
        for _ in range(SPEED_ROUNDS + 1):
            seconds = []
            for session in sessions:
                started = time.perf_counter()
                scoring.logits(session, tokenizer, pairs, batch_size=batch_size)
                seconds.append(time.perf_counter() - started)
            rounds.append(seconds)
        for session in sessions:
            session.close()
        slow, fast = (statistics.median(len(pairs) / seconds[i] for seconds in rounds[1:]) for i in range(2))
        ratio = statistics.median(plain_seconds / own for plain_seconds, own in rounds[1:])
        return Cost(plain_pairs_per_second=slow, pairs_per_second=fast, speed_ratio=ratio)

    def batches(self, count: int) -> list[dict[str, Any]]:
        """The first pairs as token arrays, each a batch of its own, with every input that a graph may have."""
        inputs = ("input_ids", "attention_mask", "token_type_ids")
        path = paths.source(self.spec.slug) / self.spec.tokenizer.file
        tokenizer = PairTokenizer(path, self.spec.tokenizer, max_length=self.spec.max_length, inputs=inputs)
        encoded = tokenizer.encode(self.pairs[:count])
        return [dict(tokenizer.batch(encoded, [i])) for i in range(len(encoded))]

    def _missed(self, row: VariantRow, found: Metrics, quality: Quality | None) -> list[str]:
        return missed(found, self.params.thresholds[row.precision_class].by_name(), quality)

    def _quality(self, logits: NDArray[np.float32]) -> Quality | None:
        """None where the labels of these rows say nothing; `evaluate` speaks about all of them."""
        if self.judge is None:
            return None
        try:
            reference = self.judge(self.expected, None)
        except DataError:
            return None
        return self.judge(logits, reference)

    def _tokenizer(self, built: Built) -> PairTokenizer:
        path = paths.source(self.spec.slug) / self.spec.tokenizer.file
        return PairTokenizer(path, self.spec.tokenizer, max_length=self.spec.max_length, inputs=built.inputs)


def search(
    acceptance: Acceptance | None, row: VariantRow, folder: Path, recipes: Iterable[Recipe], build: Build
) -> Outcome:
    """Fill `folder` with the first recipe that passes, else with the plain one, which is the first of `recipes`.

    `build(recipe, folder)` writes the graph and its sidecars. What it raises for the plain recipe is the variant's
    outcome; a fallback recipe that cannot be built is an attempt that missed. Without `acceptance` the plain
    recipe is kept.
    """
    workshop = folder / "attempts"
    attempts: list[Attempt] = []
    tried: set[bytes] = set()
    kept: tuple[Recipe, Path, Built] | None = None
    plain: tuple[Recipe, Path, Built] | None = None
    for recipe in recipes:
        if acceptance is not None and len(attempts) > acceptance.most:
            break
        if (key := canonical_json(recipe.settings)) in tried:
            continue
        tried.add(key)
        place = workshop / str(len(attempts))
        place.mkdir(parents=True)
        if plain is None:
            plain = (recipe, place, build(recipe, place))
            if acceptance is None:
                break
            attempts.append(acceptance.attempt(row, recipe, plain[2], place))
            found = plain
        else:
            assert acceptance is not None
            try:
                found = (recipe, place, build(recipe, place))
                attempts.append(acceptance.attempt(row, recipe, found[2], place))
            except BuildError:
                raise
            except Exception as error:  # as in build_step: a library may raise anything
                attempts.append(_without_figures(recipe, 0, f"it cannot be built: {first_line(error)}"))
        _print(row, attempts[-1])
        if not attempts[-1].missed:
            kept = found
            break
        if place != plain[1]:
            shutil.rmtree(place)
    if plain is None:
        raise RuntimeError("there is no plain recipe")
    winner = kept or plain
    fallback, cost = None, None
    if len(attempts) > 1 and acceptance is not None:
        if kept is not None and attempts[0].metrics:  # else the plain graph does not even run
            cost = acceptance.time(row, plain[1], kept[1], kept[2])
            print(f"{row.id:24} kept {kept[0].name}, {cost.speed_ratio:.2f}x the plain recipe's speed", flush=True)
        fallback = Fallback(
            rows=acceptance.rows,
            isa_class=acceptance.host.isa_class,
            attempts=tuple(attempts),
            won=None if kept is None else kept[0].name,
            size_ratio=None if kept is None else round(attempts[-1].size_bytes / attempts[0].size_bytes, 3),
        )
    elif attempts and attempts[0].missed:  # the budget or the list allowed nothing else
        assert acceptance is not None
        fallback = Fallback(
            rows=acceptance.rows, isa_class=acceptance.host.isa_class, attempts=tuple(attempts), won=None
        )
    for path in winner[1].iterdir():
        path.rename(folder / path.name)
    shutil.rmtree(workshop)
    return Outcome(built=msgspec.structs.replace(winner[2], fallback=fallback), cost=cost)


def open_acceptance(slug: str) -> Acceptance | None:
    """The acceptance, or None where params.yaml allows no attempts."""
    return Acceptance(slug) if load_params().fallback.attempts else None


def write_costs(path: Path, costs: dict[str, Cost]) -> None:
    """The out of a quantising stage beside its variants."""
    host = hosts.detect()
    files.write_file(path, canonical_json(Costs(host=host.name, threads=host.cores, variants=costs)))


def load_costs(path: Path) -> Costs:
    """What `write_costs` wrote."""
    return msgspec.json.decode(path.read_bytes(), type=Costs)


def _without_figures(recipe: Recipe, size: int, reason: str) -> Attempt:
    return Attempt(
        recipe=recipe.name,
        changes=recipe.changes,
        metrics={},
        quality_ratio=None,
        size_bytes=size,
        missed=(reason,),
    )


def _short(name: str, value: float | None) -> float | None:
    """A few digits: the record says how far it was, and stays the same where the last bit of a float does not."""
    if value is None:
        return None
    return float(f"{value:.3g}") if name.endswith("_abs") else round(value, 5)


def _print(row: VariantRow, attempt: Attempt) -> None:
    print(f"{row.id:24} {attempt.recipe}: {'; '.join(attempt.missed) or 'passed'}", flush=True)
