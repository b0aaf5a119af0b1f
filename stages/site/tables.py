"""The leaderboard's rows and the sides of a comparison, as data for the pages' scripts."""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from stages.site.view import Execution, HostView, ModelView, OnHost, VariantView

VERDICTS = ("passed", "failed", "unsupported", "unproven")


class ModelRows(Struct, frozen=True, kw_only=True):
    """What the leaderboard keeps of a model once its page is written: little, since there may be thousands."""

    slug: str
    source: str
    passed: int
    total: int
    hosts: tuple[HostView, ...]
    rows: tuple[tuple[str, str, str, str, bool, str, float | None, int], ...]
    figures: dict[str, tuple[tuple[Any, ...], ...]]
    elsewhere: tuple[tuple[Any, ...], ...]


def model_rows(model: ModelView) -> ModelRows:
    """The rows of one model: one for each execution, in the order of the manifest."""
    sizes = {variant.id: variant for variant in model.variants}
    executions = model.executions
    return ModelRows(
        slug=model.slug,
        source=model.source,
        passed=model.passed,
        total=len(model.variants),
        hosts=model.hosts,
        rows=tuple(
            (
                each.variant,
                each.label,
                each.runtime,
                each.precision,
                each.is_default and len(sizes[each.variant].executions) > 1,
                ", ".join(sizes[each.variant].requires),
                each.quality,
                sizes[each.variant].size,
            )
            for each in executions
        ),
        figures={host.name: tuple(_figures(each.hosts[host.name]) for each in executions) for host in model.hosts},
        elsewhere=tuple(_figures(each.elsewhere) for each in executions),
    )


def _figures(found: OnHost) -> tuple[Any, ...]:
    """Verdict, speed in hundredths, largest difference, and whether the host has the instructions."""
    return (
        VERDICTS.index(found.verdict),
        None if found.speedup is None else round(100 * found.speedup),
        None if found.score_max_abs is None else float(f"{found.score_max_abs:.1e}"),
        int(found.is_fit),
    )


def leaderboard(models: Sequence[ModelRows]) -> dict[str, Any]:
    """All rows by columns: `kinds` are the distinct descriptions that `kind` points into, and each host has columns of
    its own. Hosts that measured most models go first."""
    counted: dict[str, int] = {}
    hosts: dict[str, HostView] = {}
    for model in models:
        for host in model.hosts:
            counted[host.name] = counted.get(host.name, 0) + 1
            hosts.setdefault(host.name, host)
    order = sorted(hosts, key=lambda name: (-counted[name], name))
    kinds: dict[tuple[Any, ...], int] = {}
    rows = [(index, row) for index, model in enumerate(models) for row in model.rows]
    kind = [kinds.setdefault(row[:6], len(kinds)) for _, row in rows]
    return {
        "models": [[model.slug, model.source, model.passed, model.total] for model in models],
        "kinds": [list(each) for each in kinds],
        "model": [index for index, _ in rows],
        "kind": kind,
        "quality": [None if row[6] is None else round(10_000 * row[6]) for _, row in rows],
        "size": [row[7] for _, row in rows],
        "hosts": [_host_columns(hosts[name], models) for name in order] or [_host_columns(None, models)],
    }


def _host_columns(host: HostView | None, models: Sequence[ModelRows]) -> dict[str, Any]:
    name = host.name if host else ""
    found = [figures for model in models for figures in model.figures.get(name, model.elsewhere)]
    return {
        "name": name,
        "about": about(host) if host else "",
        "measured": [index for index, model in enumerate(models) if name in model.figures],
        "verdict": [each[0] for each in found],
        "speed": [each[1] for each in found],
        "diff": [each[2] for each in found],
        "fit": [each[3] for each in found],
    }


def about(host: HostView) -> str:
    """A host class in words."""
    gpu = [host.gpu] if host.gpu else []
    return " · ".join(
        [
            host.cpu,
            *gpu,
            host.architecture,
            f"class {host.isa_class}",
            f"{host.threads} threads",
            f"preset {host.preset}",
        ]
    )


def comparison_side(model: ModelView) -> dict[str, Any]:
    """What the comparison reads of a model, by execution. assets/manifest.js makes the same from a manifest."""
    variants = {variant.id: variant for variant in model.variants}
    return {
        "slug": model.slug,
        "source": model.source,
        "revision": model.revision,
        "reference": model.reference,
        "hosts": [host.name for host in model.hosts],
        "rows": [_compared(each, variants[each.variant]) for each in model.executions],
    }


def _compared(execution: Execution, variant: VariantView) -> dict[str, Any]:
    """Its first proof decides, whatever host a reader has."""
    proof = next(iter(execution.proofs), None)
    failed = proof is not None and proof.verdict == "failed"
    return {
        "variant": execution.variant,
        "label": execution.label,
        "digest": variant.digest,
        "size": variant.size,
        "quality": execution.quality,
        "diff": proof.figure("score_max_abs") if proof else None,
        "verdict": "failed" if failed else variant.status,
        "reason": "; ".join(proof.reasons) if proof and failed else variant.reason,
        "speed": {name: on.speedup for name, on in execution.hosts.items() if on.speedup is not None},
    }
