"""The settings of each int8 variant, with the fields that a recipe overrides: optimum's QuantizationConfig of a preset,
or our own of static int8."""

from dataclasses import fields
from typing import Any, get_type_hints

from stages.building.recipes import check_kinds, check_recipe, check_words
from stages.core.variants import VariantRow
from stages.toolchain.onnx import calibrated_int8

STATIC = "static"


def preset_settings(row: VariantRow, overrides: dict[str, Any]) -> Any:
    """The configuration of a variant. Raises RegistryError for an override that does not fit."""
    from optimum.onnxruntime import AutoQuantizationConfig

    settings = getattr(AutoQuantizationConfig, row.preset)(is_static=False)
    _apply(settings, overrides, row.id)
    return settings


def check_overrides(row: VariantRow, overrides: dict[str, Any]) -> None:
    """Raise RegistryError for anything that is not a field of the variant's configuration."""
    if row.preset == STATIC:
        calibrated_int8.settings_of(row, overrides)
    else:
        preset_settings(row, overrides)


def _apply(settings: Any, overrides: dict[str, Any], variant_id: str) -> None:
    """Set fields of a QuantizationConfig; types are written by name (`weights_dtype: QInt8`)."""
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
