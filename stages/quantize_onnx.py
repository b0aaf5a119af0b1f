"""Stage `quantize_onnx`: dynamic int8, by optimum's ORTQuantizer, one preset per instruction set."""

from dataclasses import fields
from pathlib import Path
from typing import Any

from stages import onnx_graph
from stages.build import Built, build_step, check_recipe, parent_graph, plain
from stages.errors import RegistryError
from stages.variants import PLAIN_EXPORT, VariantRow

INTEGER_OPERATORS = ("MatMulInteger", "QLinearMatMul", "ConvInteger", "DynamicQuantizeMatMul", "MatMulIntegerToFloat")


def run(slug: str) -> None:
    """Write the variants onnx-qint8-… and onnx-quint8-avx2."""

    def make(row: VariantRow, folder: Path, overrides: dict[str, Any]) -> Built:
        from optimum.onnxruntime import AutoQuantizationConfig, ORTQuantizer

        settings = getattr(AutoQuantizationConfig, row.base)(is_static=False)
        apply_overrides(settings, overrides, row.id)
        quantizer = ORTQuantizer(parent_graph(slug, PLAIN_EXPORT))
        suffix = row.file_name.removeprefix("model_").removesuffix(".onnx")
        quantizer.quantize(settings, save_dir=folder, file_suffix=suffix)
        onnx_graph.keep_only(folder, row.file_name)
        graph = onnx_graph.load_graph(folder / row.file_name)
        if not any(node.op_type in INTEGER_OPERATORS for node in graph.graph.node):
            raise RuntimeError("nothing was quantised: no node of the graph computes with integers")
        return Built(
            recipe={"base": row.base, "overrides": plain(overrides), "settings": plain(vars(settings))},
            opset=onnx_graph.opset(graph),
            inputs=onnx_graph.input_names(graph),
        )

    build_step(slug, "quantize_onnx", make)


def apply_overrides(settings: Any, overrides: dict[str, Any], variant_id: str) -> None:
    """Set fields of a QuantizationConfig; types are written by name (`weights_dtype: QInt8`)."""
    from onnxruntime.quantization import QuantFormat, QuantizationMode, QuantType

    enumerations: dict[str, Any] = {
        "activations_dtype": QuantType,
        "weights_dtype": QuantType,
        "mode": QuantizationMode,
        "format": QuantFormat,
    }
    defaults = {field.name: getattr(settings, field.name) for field in fields(settings)}
    check_recipe(variant_id, overrides, {name: "" if name in enumerations else v for name, v in defaults.items()})
    for name, value in overrides.items():
        kind = enumerations.get(name)
        if kind is not None and value not in kind.__members__:
            raise RegistryError(f"recipes.{variant_id}.{name}: expected one of {', '.join(kind.__members__)}.")
        setattr(settings, name, kind[value] if kind is not None else value)
