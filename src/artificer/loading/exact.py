"""The exact execution beside a fast one, for `rank(refine="exact")`: its choice, its memory, and how it is opened."""

from msgspec import Struct
from msgspec.structs import replace

from artificer.errors import SelectionError
from artificer.inference.refining import ErrorBound
from artificer.inference.second_graph import ExactGraph, SecondGraph
from artificer.loading.opening import Opened, Opener, open_first
from artificer.manifest import ClassifierHead, Head, Host
from artificer.manifest.metric_names import LENGTH_METRIC
from artificer.selection.admission import Execution
from artificer.selection.policy import accuracy_problem
from artificer.selection.select import Choice, select


class ExactPlan(Struct, frozen=True):
    """What would score exactly, in words, and the graph to open for it; None where what is loaded is exact itself."""

    said: str
    second: SecondGraph | None


def plan_exact(opener: Opener, loaded: Execution, host: Host) -> ExactPlan:
    """Choose under the caller's own policy, with `accuracy="exact"` and what the loaded execution leaves of the memory
    ceiling. Nothing is opened yet. Where nothing is admissible, the graph's `get` raises SelectionError."""
    if is_exact(loaded):
        return ExactPlan("the loaded execution itself", None)
    manifest, policy = opener.location.manifest, opener.options.policy
    ceiling = policy.memory_ceiling_bytes
    left = None if ceiling is None else max(0, ceiling - _need(loaded))
    try:
        choice = select(manifest, host, replace(policy, accuracy="exact", memory_ceiling_bytes=left))
    except SelectionError as error:
        said = str(error)
        return ExactPlan("no execution is admissible", SecondGraph(lambda: _refuse(manifest.slug, said)))
    best = choice.best
    said = f"{best.label}, opened at the first rank(refine='exact'): at least {best.variant.size_bytes} bytes more"
    return ExactPlan(said, SecondGraph(lambda: _open(opener, loaded, choice)))


def is_exact(execution: Execution) -> bool:
    """Whether it returns the reference's scores to float32 rounding."""
    variant, precision = execution.variant, execution.precision
    return accuracy_problem("exact", variant, precision, execution.parity, is_own=True) is None


def error_bound(execution: Execution, head: Head) -> ErrorBound:
    """How far an execution was from the reference at most, as its parity record says it.

    Scores count where they are sigmoids: raw logits are recorded as a share of the reference's range.
    """
    metrics = execution.parity.metrics
    scores = [metrics.get(name) for name in ("score_max_abs", LENGTH_METRIC)]
    known = [value for value in scores if value is not None]
    sigmoid = isinstance(head, ClassifierHead) and head.activation == "sigmoid"
    return ErrorBound(
        logit=metrics.get("output_max_abs"),
        score=max(known) if sigmoid and scores[0] is not None else None,
    )


def _open(opener: Opener, loaded: Execution, choice: Choice) -> ExactGraph:
    """The way that every graph is opened: verified, tested, falling back where that is safe."""
    opened: Opened = open_first(choice, opener.open)[0]
    head = opener.location.manifest.head
    return ExactGraph(
        session=opened.session,
        label=opened.execution.label,
        bound=error_bound(loaded, head).plus(error_bound(opened.execution, head)),
    )


def _need(execution: Execution) -> int:
    return execution.measured.peak_memory_bytes if execution.measured else execution.variant.size_bytes


def _refuse(slug: str, reasons: str) -> ExactGraph:
    raise SelectionError(
        f"{slug}: refine='exact' needs a variant of the fp32 class, computed in float32, and none is admissible:"
        f" {reasons}"
    )
