"""The table of variants: everything that tells one from another, and nothing else knows.

File names are sentence-transformers' own, so that a published folder loads there unchanged. `base` names the preset of
the library that builds the variant; params.yaml and registry entries override its fields per variant id.
"""

from dataclasses import dataclass
from typing import Literal

from artificer.manifest import ExecutionPrecision, PrecisionClass, Runtime

Step = Literal["export_onnx", "optimize", "quantize_onnx", "export_openvino", "quantize_openvino"]


@dataclass(frozen=True, slots=True)
class VariantRow:
    """One way to build the model.

    `file` is its place in the published folder. `requires_isa` are the instruction sets without which its figures would
    mean nothing: saturating int8 kernels give other scores elsewhere (FIELD-NOTES, onnxruntime#6004).
    `execution_precision` is what the runtime is told to compute in, and what decides (docs/decisions/0025). An
    `optional` variant is built only where a registry entry lists it.
    """

    id: str
    step: Step
    file: str
    precision_class: PrecisionClass
    preset: str
    requires_isa: tuple[str, ...] = ()
    execution_precision: ExecutionPrecision = "f32"
    optional: bool = False

    @property
    def runtime(self) -> Runtime:
        """The published folder's sub-folders are named after the runtimes."""
        return "openvino" if self.file.startswith("openvino/") else "onnx"

    @property
    def file_name(self) -> str:
        """The file's own name."""
        return self.file.rpartition("/")[2]


# id, step, file, precision class, base, instruction set
VARIANTS: tuple[VariantRow, ...] = (
    VariantRow("onnx", "export_onnx", "onnx/model.onnx", "fp32", "export"),
    VariantRow("onnx-O1", "optimize", "onnx/model_O1.onnx", "fp32", "O1"),
    VariantRow("onnx-O2", "optimize", "onnx/model_O2.onnx", "fp32", "O2"),
    VariantRow("onnx-O3", "optimize", "onnx/model_O3.onnx", "gelu-approximation", "O3"),
    VariantRow("onnx-O4", "optimize", "onnx/model_O4.onnx", "half", "O4"),
    VariantRow("onnx-qint8-arm64", "quantize_onnx", "onnx/model_qint8_arm64.onnx", "int8", "arm64", ("arm64",)),
    VariantRow("onnx-quint8-avx2", "quantize_onnx", "onnx/model_quint8_avx2.onnx", "int8", "avx2", ("avx2",)),
    VariantRow("onnx-qint8-avx512", "quantize_onnx", "onnx/model_qint8_avx512.onnx", "int8", "avx512", ("avx512",)),
    VariantRow(
        "onnx-qint8-avx512_vnni",
        "quantize_onnx",
        "onnx/model_qint8_avx512_vnni.onnx",
        "int8",
        "avx512_vnni",
        ("avx512_vnni",),
    ),
    VariantRow("openvino", "export_openvino", "openvino/openvino_model.xml", "fp32", "export"),
    VariantRow("openvino-qint8", "quantize_openvino", "openvino/openvino_model_qint8_quantized.xml", "int8", "static"),
    VariantRow("openvino-fp16", "quantize_openvino", "openvino/openvino_model_fp16.xml", "half", "fp16", optional=True),
    VariantRow(
        "openvino-bf16",
        "quantize_openvino",
        "openvino/openvino_model_bf16.xml",
        "half",
        "bf16",
        ("avx512_bf16",),
        execution_precision="bf16",
        optional=True,
    ),
    VariantRow(
        "openvino-int8-weights",
        "quantize_openvino",
        "openvino/openvino_model_int8_weights.xml",
        "int8",
        "int8_sym",
        optional=True,
    ),
)
VARIANT_IDS = tuple(row.id for row in VARIANTS)
DEFAULT_VARIANT_IDS = tuple(row.id for row in VARIANTS if not row.optional)
PLAIN_EXPORT = "onnx"


def rows_of_step(step: Step) -> tuple[VariantRow, ...]:
    """The variants that one stage builds, in table order."""
    return tuple(row for row in VARIANTS if row.step == step)


def row(variant_id: str) -> VariantRow:
    """The table's row of that id. Raises KeyError when there is none."""
    return {row.id: row for row in VARIANTS}[variant_id]
