"""The settings of each int8 variant, with the fields that a recipe overrides: optimum's of a preset, or our own of
static int8.

The values of a preset are those of optimum's AutoQuantizationConfig, which a test compares. They are written here
because importing optimum imports torch and transformers: four seconds of CPU for a few constants.
"""

from dataclasses import dataclass, field, fields
from typing import Any, get_type_hints

from stages.building.recipes import check_kinds, check_recipe, check_words
from stages.core.variants import VariantRow
from stages.toolchain.onnx import calibrated_int8

STATIC = "static"

# What differs between the presets; all else is a default of `Int8Settings`.
UNSIGNED_WEIGHTS = frozenset({"avx2"})


@dataclass(kw_only=True)
class Int8Settings:
    """What onnxruntime's quantiser is told, under the names of optimum's QuantizationConfig. Enumerations are
    onnxruntime's."""

    format: Any
    mode: Any
    activations_dtype: Any
    weights_dtype: Any
    operators_to_quantize: list[str]
    is_static: bool = False
    activations_symmetric: bool = False
    weights_symmetric: bool = True
    per_channel: bool = True
    reduce_range: bool = False
    nodes_to_quantize: list[str] = field(default_factory=list)
    nodes_to_exclude: list[str] = field(default_factory=list)
    qdq_add_pair_to_weight: bool = False
    qdq_dedicated_pair: bool = False
    qdq_op_type_per_channel_support_to_axis: dict[str, int] = field(default_factory=lambda: {"MatMul": 1})


def preset_settings(row: VariantRow, overrides: dict[str, Any]) -> Int8Settings:
    """The settings of a variant. Raises RegistryError for an override that does not fit."""
    from onnxruntime.quantization import QuantFormat, QuantizationMode, QuantType
    from onnxruntime.quantization.registry import IntegerOpsRegistry

    settings = Int8Settings(
        format=QuantFormat.QOperator,
        mode=QuantizationMode.IntegerOps,
        activations_dtype=QuantType.QUInt8,
        weights_dtype=QuantType.QUInt8 if row.preset in UNSIGNED_WEIGHTS else QuantType.QInt8,
        operators_to_quantize=list(IntegerOpsRegistry),
    )
    if overrides:
        _apply(settings, overrides, row.id)
    return settings


def check_overrides(row: VariantRow, overrides: dict[str, Any]) -> None:
    """Raise RegistryError for anything that is not a field of the variant's configuration."""
    if row.preset == STATIC:
        calibrated_int8.settings_of(row, overrides)
    else:
        preset_settings(row, overrides)


def _apply(settings: Int8Settings, overrides: dict[str, Any], variant_id: str) -> None:
    """Set fields; types are written by name (`weights_dtype: QInt8`)."""
    from onnxruntime.quantization import QuantFormat, QuantizationMode, QuantType
    from onnxruntime.quantization.registry import IntegerOpsRegistry

    enumerations: dict[str, Any] = {
        "activations_dtype": QuantType,
        "weights_dtype": QuantType,
        "mode": QuantizationMode,
        "format": QuantFormat,
    }
    defaults = {field.name: getattr(settings, field.name) for field in fields(settings)}
    check_recipe(variant_id, overrides, {name: "" if name in enumerations else v for name, v in defaults.items()})
    kinds = get_type_hints(type(settings))
    check_kinds(variant_id, overrides, {name: kind for name, kind in kinds.items() if name not in enumerations})
    words = {name: list(kind.__members__) for name, kind in enumerations.items()}
    check_words(variant_id, overrides, words | {"operators_to_quantize": sorted(IntegerOpsRegistry)})
    for name, value in overrides.items():
        kind = enumerations.get(name)
        setattr(settings, name, kind[value] if kind is not None else value)
