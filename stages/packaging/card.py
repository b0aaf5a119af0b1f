"""The model card: a template beside this module, filled from the manifest."""

from collections.abc import Sequence
from pathlib import Path
from string import Template

from artificer.manifest import ClassifierHead, Manifest, Variant
from stages.packaging.front_matter import front_matter
from stages.packaging.install_line import install_line
from stages.packaging.judged_on import JudgedOn
from stages.packaging.peer_snippet import peer_snippet
from stages.packaging.plot import CARD_PLOT
from stages.packaging.summary import lines, markdown_table
from stages.records.benchmarks import beside_torch
from stages.records.quality_report import QualityReport
from stages.tasks import BUILDING_TASKS

FILE = "README.md"
TEMPLATE = Path(__file__).parent / "templates" / "model_card.md"
_NAMED_LABELS = 12
ACTIVATION_MODULES = {
    "identity": "torch.nn.Identity()",
    "sigmoid": "torch.nn.Sigmoid()",
    "softmax": "torch.nn.Softmax(-1)",
}


def render(
    manifest: Manifest, quality: QualityReport, judged: JudgedOn, arguments: Sequence[str], address: str | None
) -> str:
    """The card. `arguments` are what sentence-transformers needs beside the pristine files to give the same scores,
    `address` is where pip gets Artificer (`publish.install`)."""
    tables = []
    for benchmark in beside_torch(manifest.benchmarks) or (None,):
        if benchmark is not None:
            host = benchmark.host
            tables.append(
                f"On {host.cpu_model} ({host.isa_class}), {benchmark.threads} threads, preset `{benchmark.preset}`:\n"
            )
        tables.append(markdown_table(lines(manifest, benchmark)) + "\n")
    not_published = [f"`{v.id}`: {v.reason}" for v in manifest.variants if v.status != "passed"]
    with_fallback = [fallback_line(v) for v in manifest.variants if v.fallback is not None]
    text = Template(TEMPLATE.read_text(encoding="utf-8"))
    return text.substitute(
        name=manifest.name,
        front_matter=front_matter(manifest, quality),
        install=install_line(manifest, address),
        license=manifest.source.license,
        source=manifest.source.location,
        revision=manifest.source.revision,
        rows=manifest.evaluation.rows,
        activation=_head(manifest).activation,
        peer=peer_snippet(manifest, manifest.name, arguments=arguments),
        plot=CARD_PLOT,
        tables="\n".join(tables).strip(),
        architecture=manifest.architecture,
        labels=_labels(manifest),
        use=BUILDING_TASKS[manifest.task].snippet,
        max_length=manifest.max_length,
        torch=manifest.reference.version,
        transformers=manifest.reference.transformers_version,
        quality=_quality(quality),
        judged=judged.evaluation,
        calibrated=judged.calibration,
        warning=judged.warning,
        not_published="; ".join(not_published) or "none: every variant passed",
        fallback="".join(f"\n| fallback recipe | {line} |" for line in with_fallback),
        rewritten="".join(f"\n| rewritten | `{name}`: {why} |" for name, why in sorted(manifest.rewritten.items())),
    )


def _head(manifest: Manifest) -> ClassifierHead:
    assert isinstance(manifest.head, ClassifierHead)  # what both tasks over pairs have
    return manifest.head


def _labels(manifest: Manifest) -> str:
    """How many there are, and their names where there are several and not too many."""
    labels = _head(manifest).labels
    count = len(labels)
    names = ", ".join(labels[:_NAMED_LABELS]) + (", …" if count > _NAMED_LABELS else "")
    return "1 label" if count == 1 else f"{count} labels ({names})"


def _quality(found: QualityReport) -> str:
    if found.reference is None:
        return f"not measured: {found.reason}"
    return f"{found.reference.main_metric} {found.reference.main_value:.4f} (the reference)"


def fallback_line(variant: Variant) -> str:
    """Which recipe a variant needed in place of the plain one, and what that costs; or that none helped."""
    found = variant.fallback
    assert found is not None
    missed = [f"{each.recipe} ({each.missed[0]})" for each in found.attempts if each.missed]
    if found.won is None:
        return f"`{variant.id}`: no recipe passed: {'; '.join(missed)}"
    cost = []
    if found.speed_ratio is not None:
        cost.append(f"{found.speed_ratio:.2f}x the plain recipe's speed on {found.host}")
    if found.size_ratio is not None:
        cost.append(f"{found.size_ratio:.2f}x its size")
    return f"`{variant.id}`: recipe {found.won}, {', '.join(cost)}; failed before: {'; '.join(missed)}"
