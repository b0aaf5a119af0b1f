"""Whether an attempt at an int8 variant passes: what `pack` judges later, on fewer pairs, while building."""

import statistics
import time
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from artificer import host as hosts
from artificer.backends import open_session
from artificer.backends.session import Session
from artificer.inference import scoring
from artificer.manifest import Attempt, Host, Quality
from artificer.proving.judging import missed
from artificer.proving.outputs import outputs
from artificer.proving.reference_answers import Expected, Logits
from stages.building.build_step import Built
from stages.core import paths
from stages.core.errors import DataError, first_line
from stages.core.params import BuildParams, load_params
from stages.core.variants import VariantRow
from stages.fallback.recipe import Recipe, without_figures
from stages.measuring.expected import load_expected
from stages.measuring.measure import measure
from stages.records.fallback_costs import Cost
from stages.records.model_spec import ModelSpec, load_spec
from stages.records.open_tokenizer import open_tokenizer
from stages.records.pairs import read_pairs
from stages.tasks import BUILDING_TASKS
from stages.tasks.gold_labels import QualityOf

SPEED_PAIRS, SPEED_ROUNDS = 64, 5
JUDGED = ("score_max_abs", "score_mean_abs", "spearman", "top_k_overlap")


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """What attempts are compared with, and the thresholds that they must reach. `most` is how many fallback recipes may
    be tried; `judge` is None where the labels cannot judge this model."""

    spec: ModelSpec
    params: BuildParams
    host: Host
    expected: Expected
    most: int
    judge: QualityOf | None

    @property
    def rows(self) -> int:
        """The number of pairs that an attempt is judged on."""
        return len(self.expected.pairs)

    def attempt(self, row: VariantRow, recipe: Recipe, built: Built, folder: Path) -> Attempt:
        """The graph in `folder` measured and judged. A graph that the runtime refuses has missed, with the reason."""
        size = sum(path.stat().st_size for path in folder.iterdir())
        try:
            with closing(self._open(row, folder)) as session:
                tokenizer = open_tokenizer(self.spec, built.inputs)
                found = outputs(session, tokenizer, self.expected, with_batches=False)
        except Exception as error:  # a runtime may raise anything for a graph
            return without_figures(recipe, size, f"it cannot be run: {first_line(error)}")
        metrics, quality = measure(found, self.expected), self._quality(found.logits)
        thresholds = self.params.thresholds[row.precision_class].by_name(with_lengths=False)
        return Attempt(
            recipe=recipe.name,
            changes=recipe.changes,
            metrics={name: _short(name, metrics[name]) for name in JUDGED if name in metrics},
            quality_ratio=None if quality is None else round(quality.ratio, 4),
            size_bytes=size,
            missed=tuple(missed(metrics, thresholds, quality)),
        )

    def time(self, row: VariantRow, plain: Path, kept: Path, built: Built) -> Cost:
        """The speed of both graphs: open at once, they take turns round by round; the first round warms up."""
        pairs = self.expected.pairs[:SPEED_PAIRS]
        tokenizer = open_tokenizer(self.spec, built.inputs)
        collect, batch_size = self.expected.task.collect, self.expected.batch_size
        rounds = []
        with ExitStack() as stack:
            sessions = [stack.enter_context(closing(self._open(row, folder))) for folder in (plain, kept)]
            for _ in range(SPEED_ROUNDS + 1):
                seconds = []
                for session in sessions:
                    started = time.perf_counter()
                    scoring.score_texts(session, tokenizer, pairs, collect=collect, batch_size=batch_size)
                    seconds.append(time.perf_counter() - started)
                rounds.append(seconds)
        slow, fast = (statistics.median(len(pairs) / seconds[i] for seconds in rounds[1:]) for i in range(2))
        ratio = statistics.median(plain_seconds / own for plain_seconds, own in rounds[1:])
        return Cost(plain_pairs_per_second=slow, pairs_per_second=fast, speed_ratio=ratio)

    def batches(self, count: int) -> list[dict[str, Any]]:
        """The first pairs as token arrays, each a batch of its own, with every input that a graph may have."""
        tokenizer = open_tokenizer(self.spec, ("input_ids", "attention_mask", "token_type_ids"))
        encoded = tokenizer.encode(self.expected.pairs[:count])
        return [dict(tokenizer.batch(encoded, [i])) for i in range(len(encoded))]

    def _open(self, row: VariantRow, folder: Path) -> Session:
        return open_session(
            row.backend,
            folder / row.file_name,
            threads=self.host.cores,
            execution_precision=row.execution_precision,
            output=self.expected.task.output,
        )

    def _quality(self, logits: Logits) -> Quality | None:
        """None where the labels of these rows say nothing about the reference."""
        if self.judge is None:
            return None
        try:
            reference = self.judge(self.expected.logits, None)
        except DataError:
            return None
        return self.judge(logits, reference)


def open_acceptance(slug: str) -> Acceptance | None:
    """What attempts for this model are judged by, or None where params.yaml allows no attempts."""
    params = load_params()
    if not params.fallback.attempts:
        return None
    spec = load_spec(slug)
    rows = min(params.fallback.rows, params.parity.rows)
    data = read_pairs(paths.evaluation(slug))
    pairs = data.pairs[:rows]
    task = BUILDING_TASKS[spec.task]
    fits = task.unfit(spec.labels, pairs) is None
    return Acceptance(
        spec=spec,
        params=params,
        host=hosts.detect(),
        expected=load_expected(spec, params.parity, rows),
        most=params.fallback.attempts_for(spec.parameters),
        judge=task.quality(spec.labels, pairs, data.relevance(params.data.relevant_from)) if fits else None,
    )


def _short(name: str, value: float | None) -> float | None:
    """A few digits: the record says how far it was, and stays the same where the last bit of a float does not."""
    if value is None:
        return None
    return float(f"{value:.3g}") if name.endswith("_abs") else round(value, 5)
