"""optimum's settings of the levels O1 to O4, and what onnxruntime's fusions must know of a model type.

The values are optimum's, which tests compare. They are written here because importing optimum imports torch and
transformers: four seconds of CPU for a few constants.
"""

import json
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# By level: what differs from the defaults.
LEVELS: dict[str, dict[str, Any]] = {
    "O1": {"optimization_level": 1, "enable_transformers_specific_optimizations": False},
    "O2": {"optimization_level": 2},
    "O3": {"optimization_level": 2, "enable_gelu_approximation": True},
    "O4": {"optimization_level": 2, "enable_gelu_approximation": True, "fp16": True, "optimize_for_gpu": True},
}
# Model types that optimum maps to onnxruntime's "bert", with the names of the number of heads and of the hidden size in
# their config.json. optimum is asked about any other type.
USUAL = ("num_attention_heads", "hidden_size")
BERT_TYPES: dict[str, tuple[str, str]] = {
    "albert": USUAL,
    "bert": USUAL,
    "camembert": USUAL,
    "deberta": USUAL,
    "deberta-v2": USUAL,
    "distilbert": ("n_heads", "dim"),
    "electra": USUAL,
    "modernbert": USUAL,
    "mpnet": USUAL,
    "roberta": USUAL,
    "xlm-roberta": USUAL,
}


@dataclass(kw_only=True)
class LevelSettings:
    """What onnxruntime's optimiser is told, under the names and with the defaults of optimum's OptimizationConfig."""

    optimization_level: int = 1
    enable_transformers_specific_optimizations: bool = True
    optimize_for_gpu: bool = False
    fp16: bool = False
    disable_gelu_fusion: bool = False
    disable_attention_fusion: bool = False
    disable_bias_gelu_fusion: bool = False
    disable_layer_norm_fusion: bool = False
    disable_rotary_embeddings: bool = False
    disable_skip_layer_norm_fusion: bool = False
    disable_bias_skip_layer_norm_fusion: bool = False
    disable_skip_group_norm_fusion: bool = False
    disable_bias_splitgelu_fusion: bool = False
    disable_bias_add_fusion: bool = False
    disable_group_norm_fusion: bool = True
    disable_embed_layer_norm_fusion: bool = True
    enable_gemm_fast_gelu_fusion: bool = False
    use_mask_index: bool = False
    disable_packed_kv: bool = True
    no_attention_mask: bool = False
    use_raw_attention_mask: bool = False
    disable_shape_inference: bool = False
    use_multi_head_attention: bool = False
    enable_gelu_approximation: bool = False
    use_group_norm_channels_first: bool = False
    disable_packed_qkv: bool = False
    disable_nhwc_conv: bool = False


def level_settings(level: str, overrides: dict[str, Any]) -> LevelSettings:
    """The settings of a level, with the fields that a recipe overrides."""
    return LevelSettings(**{**LEVELS[level], **overrides})


def fusion_options(settings: Any, model_type: str) -> Any:
    """onnxruntime's FusionOptions. Its parser knows `disable_x_fusion` as `disable_x`."""
    from onnxruntime.transformers.fusion_options import FusionOptions

    fields = {name.removesuffix("_fusion"): value for name, value in vars(settings).items()}
    return FusionOptions.parse(Namespace(model_type=model_type, **fields))


def model_type_of(source: Path) -> str:
    """As the checkpoint's config.json has it."""
    return str(_config(source).get("model_type", ""))


def fusions_of(source: Path) -> tuple[str, int, int] | None:
    """onnxruntime's name for the model type of the checkpoint in `source`, its number of attention heads and its hidden
    size; None where optimum does not know the type."""
    config = _config(source)
    names = BERT_TYPES.get(model_type_of(source))
    heads, hidden = (config.get(name) for name in names or ("", ""))
    if isinstance(heads, int) and isinstance(hidden, int):
        return "bert", heads, hidden
    return _as_optimum_says(source)


def _config(source: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((source / "config.json").read_bytes())
    return found


def _as_optimum_says(source: Path) -> tuple[str, int, int] | None:
    """For other types, and where config.json leaves a value to the type's default."""
    from optimum.onnxruntime.utils import ORTConfigManager
    from optimum.utils import NormalizedConfigManager
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(source, trust_remote_code=False)
    try:
        normal = NormalizedConfigManager.get_normalized_config_class(config.model_type)(config)
        ORTConfigManager.check_optimization_supported_model(config.model_type, None)
        model_type = ORTConfigManager.get_model_ort_type(config.model_type)
        return model_type, normal.num_attention_heads, normal.hidden_size
    except (AttributeError, KeyError, NotImplementedError):
        return None
