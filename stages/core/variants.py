"""The table of variants: everything that tells one from another, and nothing else knows.

File names are sentence-transformers' own, or ones that it loads by name, so that a published folder loads there
unchanged. params.yaml and registry entries override fields of a preset per variant id.
"""

from dataclasses import dataclass
from typing import Literal

from artificer.manifest import ExecutionPrecision, PrecisionClass, Rank, Runtime

Step = Literal["export", "optimize", "quantize_onnx", "quantize_openvino"]


def _rank(cpu: int, intel: int | None = None, cuda: int = 100) -> Rank:
    """The place on other CPUs, on Intel's (the same unless given), and on NVIDIA GPUs."""
    return Rank(cpu=cpu, intel=cpu if intel is None else intel, cuda=cuda)


@dataclass(frozen=True, slots=True)
class VariantRow:
    """One way to build the model.

    `step` is the stage that builds it, `backend` what runs it, `file` its place in the published folder, `preset` the
    library's configuration that it starts from. `rank` is its place where no speeds are known: the order of
    sentence-transformers' flowchart
    (https://sbert.net/docs/cross_encoder/usage/efficiency.html#recommendations). `requires_isa` are the instruction
    sets without which its figures would mean nothing: saturating int8 kernels give other scores elsewhere
    (onnxruntime#6004). `execution_precision` is what the runtime is told to compute in, and what decides. An `optional`
    variant is built only where a registry entry lists it.
    """

    id: str
    step: Step
    backend: Runtime
    file: str
    precision_class: PrecisionClass
    preset: str
    rank: Rank
    requires_isa: tuple[str, ...] = ()
    execution_precision: ExecutionPrecision = "f32"
    optional: bool = False

    @property
    def file_name(self) -> str:
        """The file's own name."""
        return self.file.rpartition("/")[2]


# Ranks leave gaps for what comes later. int8 first, as in the flowchart; then exact ones, OpenVINO first on Intel CPUs.
VARIANTS: tuple[VariantRow, ...] = (
    VariantRow("onnx", "export", "onnx", "onnx/model.onnx", "fp32", "export", _rank(80, cuda=50)),
    VariantRow("onnx-O1", "optimize", "onnx", "onnx/model_O1.onnx", "fp32", "O1", _rank(90, cuda=40)),
    VariantRow("onnx-O2", "optimize", "onnx", "onnx/model_O2.onnx", "fp32", "O2", _rank(70, cuda=30)),
    VariantRow("onnx-O3", "optimize", "onnx", "onnx/model_O3.onnx", "gelu-approximation", "O3", _rank(100, cuda=20)),
    VariantRow("onnx-O4", "optimize", "onnx", "onnx/model_O4.onnx", "half", "O4", _rank(110, cuda=10)),
    VariantRow(
        "onnx-qint8-arm64", "quantize_onnx", "onnx", "onnx/model_qint8_arm64.onnx", "int8", "arm64",
        _rank(50), requires_isa=("arm64",),
    ),
    VariantRow(
        "onnx-quint8-avx2", "quantize_onnx", "onnx", "onnx/model_quint8_avx2.onnx", "int8", "avx2",
        _rank(40), requires_isa=("avx2",),
    ),
    VariantRow(
        "onnx-qint8-avx512", "quantize_onnx", "onnx", "onnx/model_qint8_avx512.onnx", "int8", "avx512",
        _rank(30), requires_isa=("avx512",),
    ),
    VariantRow(
        "onnx-qint8-avx512_vnni", "quantize_onnx", "onnx", "onnx/model_qint8_avx512_vnni.onnx", "int8", "avx512_vnni",
        _rank(20), requires_isa=("avx512_vnni",),
    ),
    VariantRow(
        "onnx-qint8-static", "quantize_onnx", "onnx", "onnx/model_qint8_static.onnx", "int8", "static",
        _rank(15),
    ),
    VariantRow(
        "openvino", "export", "openvino", "openvino/openvino_model.xml", "fp32", "export",
        _rank(95, intel=60),
    ),
    VariantRow(
        "openvino-qint8", "quantize_openvino", "openvino", "openvino/openvino_model_qint8_quantized.xml", "int8",
        "static", _rank(10),
    ),
    VariantRow(
        "openvino-fp16", "quantize_openvino", "openvino", "openvino/openvino_model_fp16.xml", "half", "fp16",
        _rank(96, intel=62), optional=True,
    ),
    VariantRow(
        "openvino-bf16", "quantize_openvino", "openvino", "openvino/openvino_model_bf16.xml", "half", "bf16",
        _rank(55), requires_isa=("avx512_bf16",), execution_precision="bf16", optional=True,
    ),
    VariantRow(
        "openvino-int8-weights", "quantize_openvino", "openvino", "openvino/openvino_model_int8_weights.xml", "int8",
        "int8_sym", _rank(97, intel=64), optional=True,
    ),
)  # fmt: skip
VARIANT_IDS = tuple(row.id for row in VARIANTS)
DEFAULT_VARIANT_IDS = tuple(row.id for row in VARIANTS if not row.optional)
PLAIN_EXPORT = "onnx"


def rows_of_step(step: Step) -> tuple[VariantRow, ...]:
    """The variants that one stage builds, in table order."""
    return tuple(row for row in VARIANTS if row.step == step)


def row(variant_id: str) -> VariantRow:
    """The table's row of that id. Raises KeyError when there is none."""
    return {row.id: row for row in VARIANTS}[variant_id]
