"""The model card: a template beside this module, filled from the manifest."""

from collections.abc import Sequence
from pathlib import Path
from string import Template

from artificer.manifest import Manifest, Quality, Variant
from stages.figures import main_value
from stages.plot import CARD_PLOT
from stages.summary import lines, markdown_table

FILE = "README.md"
TEMPLATE = Path(__file__).parent / "templates" / "model_card.md"
ACTIVATION_MODULES = {
    "identity": "torch.nn.Identity()",
    "sigmoid": "torch.nn.Sigmoid()",
    "softmax": "torch.nn.Softmax(-1)",
}


def render(manifest: Manifest, reference: Quality, arguments: Sequence[str]) -> str:
    """The card. `arguments` are what sentence-transformers needs beside the pristine files to give the same scores."""
    tables = []
    for benchmark in manifest.benchmarks or (None,):
        if benchmark is not None:
            host = benchmark.host
            tables.append(
                f"On {host.cpu_model} ({host.isa_class}), {benchmark.threads} threads, preset `{benchmark.preset}`:\n"
            )
        tables.append(markdown_table(lines(manifest, benchmark)) + "\n")
    not_shipped = [f"`{v.id}`: {v.reason}" for v in manifest.variants if v.status != "passed"]
    recovered = [recovery_line(v) for v in manifest.variants if v.recovery is not None]
    graphs = [v.graph for v in manifest.variants if v.graph and v.runtime == "onnx" and v.precision_class == "fp32"]
    text = Template(TEMPLATE.read_text(encoding="utf-8"))
    return text.substitute(
        name=manifest.name,
        license=manifest.source.license,
        task=manifest.task,
        base_model=f"base_model: {manifest.source.location}\n" if manifest.source.kind == "hub" else "",
        source=manifest.source.location,
        revision=manifest.source.revision,
        rows=manifest.evaluation.rows,
        activation=manifest.activation,
        arguments="".join(f", {argument}" for argument in arguments),
        plot=CARD_PLOT,
        tables="\n".join(tables).strip(),
        example_file=graphs[-1] if graphs else "onnx/model.onnx",
        architecture=manifest.architecture,
        labels=len(manifest.labels),
        max_length=manifest.max_length,
        torch=manifest.reference.version,
        transformers=manifest.reference.transformers_version,
        metric=reference.main_metric,
        reference_quality=f"{main_value(reference):.4f}",
        evaluation=manifest.evaluation.name,
        calibration=manifest.calibration.name,
        not_shipped="; ".join(not_shipped) or "nothing: every variant passed",
        recovered="".join(f"\n| recovered | {line} |" for line in recovered),
    )


def recovery_line(variant: Variant) -> str:
    """Which recipe a variant needed in place of the plain one, and what that costs; or that none helped."""
    found = variant.recovery
    assert found is not None
    missed = [f"{each.recipe} ({each.missed[0]})" for each in found.attempts if each.missed]
    if found.won is None:
        return f"`{variant.id}`: no recipe passed: {'; '.join(missed)}"
    cost = []
    if found.speed_ratio is not None:
        cost.append(f"{found.speed_ratio:.2f}x the plain recipe's speed on {found.host}")
    if found.size_ratio is not None:
        cost.append(f"{found.size_ratio:.2f}x its size")
    return f"`{variant.id}`: recipe {found.won}, {', '.join(cost)}; missed before: {'; '.join(missed)}"
