"""Which variant runs and why, for people and for logs."""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from artificer.backends import BACKENDS
from artificer.loading.opening import Opened, Opener
from artificer.manifest import Host, said
from artificer.selection.admission import Execution
from artificer.selection.policy import Objective
from artificer.selection.select import Choice


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """What `LoadedModel.explain` returns; `print` it, or put `to_dict()` into a log.

    `speed` is the measured speed of this execution on the nearest host. `rejected` gives every reason for each
    execution that was not admissible; `fallbacks` says what was tried before, and why it was skipped. `settings` is
    what the runtime was told beside the precision. `self_test` is the largest difference from a golden sample's
    output, null when it was not run. `exact` is what `rank(refine="exact")` uses. `own_proof` is what was proven on
    this machine (`artificer prove`), or why it is not used; null without a record.
    """

    model: str
    folder: str
    manifest_sha256: str
    signed_by: str | None
    source: str
    variant: str
    why: str
    speed: str
    alternatives: tuple[str, ...]
    rejected: dict[str, tuple[str, ...]]
    fallbacks: tuple[str, ...]
    runtime: str
    runtime_version: str
    execution_precision: str
    device: str
    settings: dict[str, str]
    parity: str
    own_proof: str | None
    result: str
    max_length: int
    threads: int
    threads_from: str
    tuning: str
    host: str
    cpu: str
    isa: tuple[str, ...]
    files_hashed: int
    self_test: float | None
    exact: str
    artificer_version: str

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists, strings and numbers."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain

    def __str__(self) -> str:
        precision = ", ".join([self.execution_precision, *said(self.settings)])
        precision += "" if self.device == "cpu" else f" on {self.device}"
        tested = "not run" if self.self_test is None else f"within {self.self_test:.2g} of torch's outputs"
        proven_here = [] if self.own_proof is None else [f"  proven here: {self.own_proof}"]
        lines = [
            f"{self.model}: {self.variant} on {self.runtime} {self.runtime_version} in {precision}",
            f"  why: {self.why}",
            f"  speed: {self.speed}",
            f"  proof: {self.parity}",
            *proven_here,
            f"  next: {', '.join(self.alternatives) or 'nothing else is admissible'}",
            f"  threads: {self.threads} ({self.threads_from})",
            f"  batches: {self.tuning}",
            f"  host: {self.host} ({self.cpu}; {' '.join(self.isa)})",
            f"  result: {self.result}; texts are cut at {self.max_length} tokens",
            f"  source: {self.source}",
            f"  folder: {self.folder} (manifest sha256 {self.manifest_sha256})",
            f"  verified: {self.files_hashed} files hashed at this load, the rest by the verification cache",
            f"  self-test: {tested}",
            f"  exact: {self.exact}",
        ]
        if self.signed_by is not None:
            lines.append(f"  signed by: {self.signed_by}")
        lines += [f"  skipped: {line}" for line in self.fallbacks]
        lines += [f"  rejected: {key}: {'; '.join(reasons)}" for key, reasons in self.rejected.items()]
        return "\n".join(lines)


class Facts(Struct, frozen=True):
    """What an explanation says beside what was chosen and opened. `own_proof` is a line on this machine's record."""

    host: Host
    threads_from: str
    fallbacks: Sequence[str]
    exact: str
    own_proof: str | None = None


def explain(opener: Opener, opened: Opened, choice: Choice, facts: Facts) -> Explanation:
    """The explanation of what was opened."""
    from artificer import __version__

    location, execution, session = opener.location, opened.execution, opened.session
    manifest, host = location.manifest, facts.host
    labels = [each.label for each in choice.executions]
    package = BACKENDS[execution.variant.runtime].packages[execution.device]
    return Explanation(
        model=manifest.slug,
        folder=str(location.folder),
        manifest_sha256=location.manifest_sha256,
        signed_by=location.signed_by,
        source=f"{manifest.source.location} at {manifest.source.revision}",
        variant=execution.variant.id,
        why=choice.basis,
        speed=_speed(execution, opener.options.policy.objective),
        alternatives=tuple(labels[labels.index(execution.label) + 1 :]),
        rejected=choice.rejected,
        fallbacks=tuple(facts.fallbacks),
        runtime=session.runtime,
        runtime_version=host.runtimes.get(package.distribution, "unknown"),
        execution_precision=session.execution_precision,
        device=execution.device,
        settings=dict(execution.settings),
        parity=_proof(execution),
        own_proof=facts.own_proof,
        result=manifest.head.result,
        max_length=opener.tokenizer.max_length,
        threads=opener.threads,
        threads_from=facts.threads_from,
        tuning=str(session.tuning) or "the defaults: nothing was measured on a host like this one",
        host=host.name,
        cpu=host.cpu_model,
        isa=host.isa,
        files_hashed=opened.hashed,
        self_test=opened.difference,
        exact=facts.exact,
        artificer_version=__version__,
    )


def _speed(execution: Execution, objective: Objective) -> str:
    """Its figures in words: of batches; for latency first those of single calls, as a load for latency has them."""
    found = execution.measured
    if found is None:
        return "not measured on a host like this one"
    said = f"{found.inputs_per_second:.0f} inputs per second in batches, on {found.host}"
    if objective != "latency":
        return said
    if (new := found.request) is None:
        return f"{found.latency_ms:.1f} ms for a call of the smallest batch, {said}"
    inputs = "one input" if new.inputs == 1 else f"{new.inputs} inputs"
    return f"{new.p50_ms:.1f} ms for {inputs} of new lengths (p95 {new.p95_ms:.1f} ms), {said}"


def _proof(execution: Execution) -> str:
    """What the parity record says, in words."""
    parity, fallback = execution.parity, execution.variant.fallback
    score = parity.metrics.get("score_max_abs")
    what, value = ("scores", score) if score is not None else ("outputs", parity.metrics.get("output_max_abs"))
    within = "" if value is None else f": {what} within {value:.2g} of torch"
    recipe = f"; recipe {fallback.won} in place of the plain one" if fallback and fallback.won else ""
    return f"passed on {parity.isa_class} in {parity.execution_precision} with {parity.runtime_version}{within}{recipe}"
