"""The settings that are written down here instead of imported are those of optimum."""

import json
from pathlib import Path
from typing import Any

import pytest

from stages.building.recipes import plain
from stages.core.variants import VARIANTS, VariantRow
from stages.toolchain.onnx import level_settings
from stages.toolchain.onnx.int8_presets import STATIC, preset_settings

pytestmark = pytest.mark.toolchain
PRESETS = [row for row in VARIANTS if row.step == "quantize_onnx" and row.preset != STATIC]


@pytest.mark.parametrize("row", PRESETS, ids=lambda row: row.id)
def test_an_int8_preset_is_that_of_optimum(row: VariantRow) -> None:
    """Every field, in JSON values."""
    from optimum.onnxruntime import AutoQuantizationConfig

    theirs = getattr(AutoQuantizationConfig, row.preset)(is_static=False)
    assert plain(vars(preset_settings(row, {}))) == plain(vars(theirs))


@pytest.mark.parametrize("level", list(level_settings.LEVELS))
def test_a_level_is_that_of_optimum(level: str) -> None:
    """Every field, and what onnxruntime's fusions are told."""
    from optimum.onnxruntime import AutoOptimizationConfig

    ours = level_settings.level_settings(level, {})
    theirs = AutoOptimizationConfig.with_optimization_level(level, for_gpu=level == "O4")
    assert vars(ours) == vars(theirs)
    assert vars(level_settings.fusion_options(ours, "bert")) == vars(theirs.create_fusion_options("bert"))


def test_an_override_wins_over_the_level() -> None:
    """A recipe may set a field that the level sets too."""
    assert not level_settings.level_settings("O3", {"enable_gelu_approximation": False}).enable_gelu_approximation


@pytest.mark.parametrize("model_type", list(level_settings.BERT_TYPES))
def test_a_model_type_is_known_as_optimum_knows_it(model_type: str, tmp_path: Path) -> None:
    """onnxruntime's type, and the names of heads and hidden size."""
    heads, hidden = level_settings.BERT_TYPES[model_type]
    written: dict[str, Any] = {"model_type": model_type, heads: 6, hidden: 96}
    (tmp_path / "config.json").write_text(json.dumps(written))
    assert level_settings.fusions_of(tmp_path) == ("bert", 6, 96) == level_settings._as_optimum_says(tmp_path)


def test_a_value_that_config_json_leaves_out_is_the_types_default(tmp_path: Path) -> None:
    """optimum is asked, through transformers' configuration."""
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert", "hidden_size": 96}))
    assert level_settings.fusions_of(tmp_path) == ("bert", 12, 96)
