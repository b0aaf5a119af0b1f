"""The table of stages: everything that tells one from another. dvc.yaml says what each reads and writes.

The command line, pre-flight, what is recorded, and docs/pipeline.md read this table. No stage imports it, or a new row
would change the code that every stage depends on: the command line passes a stage what it needs to know.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Need:
    """What a stage needs, in units of the weights' size in float32. `disk` is what it holds at its peak, `kept` what
    stays of that. `source` asks instead for room for the files of the lock. What the toolchain itself takes is added by
    `stages.running.preflight` (`TOOLCHAIN_BYTES`), which also lets small models pass (`FREE_BELOW_BYTES`)."""

    memory: float = 0
    disk: float = 0
    kept: float = 0
    source: bool = False


@dataclass(frozen=True, slots=True)
class Toolchain:
    """What builds variants for one runtime: the distributions whose versions are recorded with each variant, and the
    module that checks the fields of its recipe."""

    tools: tuple[str, ...]
    recipe: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One stage: the module `stages.<name>`, whose `run` does it.

    `scope`: it runs for each model, or once for all. `measured`: its seconds and memory are recorded. `online`: it may
    ask the Hub. `toolchains`: what a building stage builds with, by runtime. `children`: what is imported once for the
    processes that it starts. `side_by_side`: its `run` gets `at_once`, how many variants it may build at the same time.
    `flags`: options of its command, each with a help text.
    """

    name: str
    summary: str
    scope: Literal["model", "once"] = "model"
    measured: bool = True
    online: bool = False
    need: Need | None = None
    toolchains: Mapping[str, Toolchain] = field(default_factory=dict)
    children: tuple[str, ...] = ()
    side_by_side: bool = False
    flags: tuple[tuple[str, str], ...] = ()


RUNTIMES = ("artificer.backends.onnx_session", "artificer.backends.openvino_session")

STAGES: tuple[Stage, ...] = (
    Stage(
        name="host",
        summary="Which machine this is",
        scope="once",
        measured=False,
    ),
    Stage(
        name="fetch",
        summary="The pinned source files, compared with the lock, and the resolved entry",
        online=True,
        need=Need(source=True),
    ),
    Stage(
        name="data",
        summary="Evaluation and calibration pairs, and the benchmark's texts, normalised",
        online=True,
    ),
    Stage(
        name="reference",
        summary="What CrossEncoder returns in float32, which everything is compared with",
        need=Need(memory=1.6),
    ),
    Stage(
        name="export",
        summary="The float32 ONNX graph and the float32 OpenVINO IR",
        need=Need(memory=4.2, disk=3.0, kept=2.0),
        toolchains={
            "onnx": Toolchain(("torch", "transformers", "onnx", "onnxscript"), "stages.toolchain.onnx.export"),
            "openvino": Toolchain(
                ("torch", "transformers", "optimum-intel", "openvino"), "stages.toolchain.openvino.export"
            ),
        },
        children=("torch", "transformers.modeling_utils"),
        side_by_side=True,
    ),
    Stage(
        name="optimize",
        summary="Optimised ONNX graphs, levels O1 to O4",
        need=Need(memory=3.2, disk=5.7, kept=3.7),
        toolchains={"onnx": Toolchain(("optimum-onnx", "onnx", "onnxruntime"), "stages.toolchain.onnx.levels")},
        children=("onnxruntime.transformers.optimizer",),
        side_by_side=True,
    ),
    Stage(
        name="quantize_onnx",
        summary="Dynamic int8 ONNX graphs for arm64, AVX2, AVX-512 and AVX-512 VNNI, and a static one",
        need=Need(memory=5.4, disk=2.5, kept=1.6),
        toolchains={"onnx": Toolchain(("optimum-onnx", "onnx", "onnxruntime"), "stages.toolchain.onnx.int8_presets")},
        children=("onnxruntime.quantization.onnx_quantizer",),
        side_by_side=True,
    ),
    Stage(
        name="quantize_openvino",
        summary="Static int8 OpenVINO IR; int8 weights, fp16 and bf16 where an entry lists them",
        need=Need(memory=3.2, disk=1.0, kept=0.5),
        toolchains={
            "openvino": Toolchain(("optimum-intel", "nncf", "openvino"), "stages.toolchain.openvino.static_int8")
        },
        children=("stages.toolchain.openvino.quantizer",),
    ),
    Stage(
        name="parity",
        summary="Every variant, run as a service runs it, against the reference",
        need=Need(memory=3.2),
        children=(*RUNTIMES, "stages.measuring.second_process"),
    ),
    Stage(
        name="evaluate",
        summary="Quality on labelled pairs, as a ratio to torch",
    ),
    Stage(
        name="benchmark",
        summary="Speed and memory beside torch, on this host",
        need=Need(memory=3.2),
        children=(*RUNTIMES, "stages.benchmarking.tuning"),
    ),
    Stage(
        name="pack",
        summary="The verdicts, the manifest, the model card and its plot",
    ),
    Stage(
        name="publish",
        summary="What passed, with its manifest, to a folder or the Hub",
        measured=False,  # it moves files; and a dry run would be measured as well
        online=True,
        flags=(
            ("--dry-run", "print what would be sent, and send nothing"),
            ("--overwrite", "replace files that others put there or changed"),
            ("--sign", "publish nothing without a signature; publish.signing in params.yaml says whose"),
        ),
    ),
    Stage(
        name="report",
        summary="The leaderboard of all models, speed against quality as a plot, and the report site",
        scope="once",
        measured=False,
    ),
)


def stage(name: str) -> Stage:
    """The row of that name. Raises KeyError when there is none."""
    return {row.name: row for row in STAGES}[name]


def markdown_table() -> str:
    """The table for docs/pipeline.md: `python -m stages schema` writes it, and a test compares it."""
    head = ["| stage | what it makes | runs | recorded | asks the Hub |", "|---|---|---|---|---|"]
    rows = [
        f"| `{row.name}` | {row.summary} | {'once' if row.scope == 'once' else 'per model'} | "
        f"{'seconds, memory' if row.measured else '-'} | {'yes' if row.online else '-'} |"
        for row in STAGES
    ]
    return "\n".join([*head, *rows])


def with_table(page: str) -> str:
    """docs/pipeline.md with this table between its two marks."""
    begin, end = "<!-- stages: begin -->\n", "\n<!-- stages: end -->"
    before, after = page.partition(begin)[0], page.partition(end)[2]
    return f"{before}{begin}{markdown_table()}{end}{after}"
