"""optimum's QuantizationConfig of each int8 variant, with the fields that a recipe overrides."""

from dataclasses import fields
from typing import Any

from stages.building.recipes import check_recipe
from stages.core.errors import RegistryError
from stages.core.variants import VariantRow


def preset_settings(row: VariantRow, overrides: dict[str, Any]) -> Any:
    """The configuration of a variant. Raises RegistryError for an override that does not fit."""
    from optimum.onnxruntime import AutoQuantizationConfig

    settings = getattr(AutoQuantizationConfig, row.preset)(is_static=False)
    _apply(settings, overrides, row.id)
    return settings


def check_overrides(row: VariantRow, overrides: dict[str, Any]) -> None:
    """Raise RegistryError for anything that is not a field of optimum's QuantizationConfig."""
    preset_settings(row, overrides)


def _apply(settings: Any, overrides: dict[str, Any], variant_id: str) -> None:
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
