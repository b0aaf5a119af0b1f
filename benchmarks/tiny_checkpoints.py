"""A tiny checkpoint with random weights of every …ForSequenceClassification of transformers, written as
`save_pretrained` writes trained ones.

The weights are spread: each matrix has about unit gain, and the head is turned away from what all pairs have in common
and scaled, so that scores differ and a wrong graph gives other ones.
"""

import json
from pathlib import Path
from typing import Any

from benchmarks.tiny_tokenizers import LENGTH, texts, tokenizer_of

WIDTH = 32
PAIRS = 16  # that the head is fitted to
SPREAD = 1.5  # standard deviation of the logits
# Types that are no text encoders, where the class of the head does not say so.
DECODERS = ("biogpt", "bloom", "ctrl", "modernbert-decoder", "openai-gpt")
# Types that share the class of another: gpt2, llama and qwen3_5_text.
SAME_CLASS = ("code_llama", "gpt-sw3", "qwen3_5")
# Matrices that are parameters of no layer: XLNet's of attention.
MATRICES = ("q", "k", "v", "o", "r")
ON_A_PAGE = tuple(f"{each}_position_embeddings" for each in "xyhw")
# Sizes by the names that the configurations use; each takes those that it knows.
SIZES: dict[str, Any] = {
    "attention_head_dim": 16,
    "attention_head_size": 8,
    "attention_window": 16,
    "d_ff": 64,
    "d_head": 8,
    "d_inner": 64,
    "d_kv": 8,
    "d_model": WIDTH,
    "decoder_attention_heads": 4,
    "decoder_ffn_dim": 64,
    "decoder_layers": 2,
    "dff": 64,
    "dim": WIDTH,
    "emb_dim": WIDTH,
    "embedding_size": WIDTH,
    "encoder_attention_heads": 4,
    "encoder_ffn_dim": 64,
    "encoder_layers": 2,
    "entity_emb_size": 16,
    "entity_vocab_size": 8,
    "feed_forward_size": 64,
    "ffn_dim": 64,
    "head_dim": 8,
    "hidden_dim": 64,
    "hidden_size": WIDTH,
    "intermediate_size": 64,
    "kv_lora_rank": 16,
    "lm_head": 16,
    "mamba_d_state": 8,
    "mamba_dt_rank": 4,
    "max_2d_position_embeddings": 64,
    "max_depth": 4,
    "max_seq_len": LENGTH,
    "moe_intermediate_size": 16,
    "n_embd": WIDTH,
    "n_group": 1,
    "n_head": 4,
    "n_heads": 4,
    "n_layer": 2,
    "n_layers": 2,
    "n_positions": LENGTH,
    "n_routed_experts": 4,
    "num_attention_heads": 4,
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "num_heads": 4,
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
    "num_layers": 2,
    "num_local_experts": 4,
    "q_lora_rank": 16,
    "qk_nope_head_dim": 8,
    "qk_rope_head_dim": 8,
    "rotary_dim": 8,
    "sliding_window": 16,
    "topk_group": 1,
    "v_head_dim": 8,
    "word_embed_proj_dim": WIDTH,
    "xpath_unit_hidden_size": 8,
}
_VISION: dict[str, Any] = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
_VISION |= {"num_attention_heads": 2, "image_size": 32, "patch_size": 16}
_TEXT: dict[str, Any] = {"hidden_size": WIDTH, "intermediate_size": 64, "num_hidden_layers": 2}
_TEXT |= {"num_attention_heads": 4, "num_key_value_heads": 2}
_TEXT |= {"head_dim": 8, "sliding_window": 16, "max_position_embeddings": LENGTH}
_GEMMA = {**_TEXT, "query_pre_attn_scalar": 8, "layer_types": ["sliding_attention", "full_attention"]}
_LINEAR: dict[str, Any] = {"linear_key_head_dim": 8, "linear_value_head_dim": 8}
_LINEAR |= {"linear_num_key_heads": 2, "linear_num_value_heads": 4}
_LINEAR |= {"layer_types": ["linear_attention", "full_attention"]}
# What a type needs beyond that; `text_config` and the like become configurations of their own.
OWN: dict[str, dict[str, Any]] = {
    "big_bird": {"block_size": 4, "num_random_blocks": 1},
    "bigbird_pegasus": {"block_size": 4, "num_random_blocks": 1},
    "canine": {"num_hash_buckets": 256},
    "deberta": {"relative_attention": True, "pos_att_type": ["c2p", "p2c"], "type_vocab_size": 0},
    "deberta-v2": {
        "relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 32, "type_vocab_size": 0,
        "norm_rel_ebd": "layer_norm", "share_att_key": True, "position_biased_input": False,
    },
    "deepseek_v2": {"first_k_dense_replace": 1, "head_dim": 8, "num_key_value_heads": 4},
    "deepseek_v3": {"first_k_dense_replace": 1, "num_key_value_heads": 4},
    "exaone4": {"layer_types": ["sliding_attention", "full_attention"]},
    "funnel": {"block_sizes": [2, 1, 1], "num_decoder_layers": 1},
    "gemma2": _GEMMA,
    "gemma3": {"text_config": _GEMMA, "vision_config": _VISION},
    "gemma3_text": _GEMMA,
    "gpt_neo": {"attention_types": [[["global", "local"], 1]], "window_size": 16},
    "gpt_oss": {"layer_types": ["sliding_attention", "full_attention"]},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1, "expert_layer_period": 2, "expert_layer_offset": 1},
    "layoutlmv2": {"coordinate_size": 6, "shape_size": 4},
    "layoutlmv3": {"hidden_size": 48, "coordinate_size": 8, "shape_size": 8, "input_size": 32},
    "lilt": {"hidden_size": 48, "channel_shrink_ratio": 4},
    "minimax": {"layer_types": ["linear_attention", "full_attention"], "block_size": 16},
    "mistral4": {"num_key_value_heads": 4, "first_k_dense_replace": 1, "head_dim": 16},
    "mobilebert": {"intra_bottleneck_size": 16, "embedding_size": 16},
    "modernbert": {"global_attn_every_n_layers": 2, "local_attention": 16},
    "modernbert-decoder": {"global_attn_every_n_layers": 2, "local_attention": 16},
    "modernvbert": {"text_config": {**_TEXT, "local_attention": 16}, "vision_config": _VISION},
    "nomic_bert": {"head_dim": 8},
    "perceiver": {"d_latents": WIDTH, "num_latents": 8, "num_self_attends_per_block": 2, "num_self_attention_heads": 4,
                  "num_cross_attention_heads": 4},
    "phi": {"num_key_value_heads": 4},
    "qwen3_5_text": _LINEAR,
    "qwen3_next": _LINEAR,
    "reformer": {"axial_pos_shape": [8, 16], "axial_pos_embds_dim": [8, 24], "attn_layers": ["local", "lsh"],
                 "local_attn_chunk_length": 16, "lsh_attn_chunk_length": 16, "hash_seed": 0, "num_buckets": 4},
    "roc_bert": {"pronunciation_vocab_size": 64, "shape_vocab_size": 64},
    "t5": {"decoder_start_token_id": 0},
    "t5gemma": {"encoder": _GEMMA, "decoder": {**_GEMMA, "cross_attention_hidden_size": WIDTH}},
    "t5gemma2": {"encoder": {"text_config": _GEMMA, "vision_config": _VISION}, "decoder": _GEMMA},
    "xlnet": {"d_inner": 64},
    "xmod": {"languages": ["en_XX"], "default_language": "en_XX"},
    "zamba": {"num_hidden_layers": 5, "num_key_value_heads": 4, "attn_layer_period": 2, "attn_layer_offset": 1,
              "use_mamba_kernels": False},
    "zamba2": {"num_hidden_layers": 4, "layers_block_type": ["mamba", "hybrid", "mamba", "hybrid"], "chunk_size": 16,
               "num_key_value_heads": 4},
}  # fmt: skip


def model_types() -> dict[str, str]:
    """Every model type of text with a …ForSequenceClassification, and the class."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES as NAMES

    return {model_type: name for model_type, name in NAMES.items() if model_type not in SAME_CLASS}


def write_checkpoint(model_type: str, folder: Path) -> None:
    """Write configuration, weights and tokenizer of `model_type` into `folder`."""
    import torch
    import transformers

    tokenizer = tokenizer_of(model_type)
    config = config_of(model_type, tokenizer)
    config.architectures = [model_types()[model_type]]
    torch.manual_seed(0)
    model = getattr(transformers, model_types()[model_type])._from_config(config, attn_implementation="eager").eval()
    with torch.no_grad():
        spread(model)
        fit_head(model, tokenizer)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def config_of(model_type: str, tokenizer: Any) -> Any:
    """The small configuration, with the ids of the tokenizer."""
    from transformers import AutoConfig

    kind: Any = type(AutoConfig.for_model(model_type))
    known = set(kind().to_dict()) | set(getattr(kind, "attribute_map", {}))
    ids = {
        f"{name}_token_id": getattr(tokenizer, f"{name}_token_id")
        for name in ("bos", "eos", "pad", "cls", "sep")
        if getattr(tokenizer, f"{name}_token_id", None) is not None
    }
    # Positions of RoBERTa's relatives begin behind the padding id.
    sizes = SIZES | {"vocab_size": len(tokenizer), "max_position_embeddings": LENGTH + 2}
    own = {**sizes, **ids, **OWN.get(model_type, {})}
    chosen = {key: value for key, value in own.items() if key in known or key in OWN.get(model_type, {})}
    for name in ("text_config", "encoder", "decoder"):
        if isinstance(chosen.get(name), dict):
            chosen[name] = _with_ids(chosen[name], {"vocab_size": len(tokenizer), **ids})
    return kind(**chosen, num_labels=1, **({} if "pad_token_id" in chosen else ids))


def _with_ids(part: dict[str, Any], ids: dict[str, Any]) -> dict[str, Any]:
    """A nested configuration, or the text part of one, with the vocabulary and special tokens of the tokenizer."""
    inner = part.get("text_config")
    return {**part, "text_config": _with_ids(inner, ids)} if inner else {**part, **ids}


def spread(model: Any) -> None:
    """Give every matrix about unit gain, and embeddings a spread of a half; those of places on a page a tenth, since
    each text has the same six of them."""
    import torch

    for path, module in model.named_modules():
        for name, weight in module.named_parameters(recurse=False):
            if isinstance(module, torch.nn.Embedding):
                weight.normal_(0, 0.05 if path.endswith(ON_A_PAGE) else 0.5)
                if module.padding_idx is not None:
                    weight[module.padding_idx] = 0
            elif weight.ndim == 3 and name in MATRICES:
                weight.normal_(0, weight.shape[0] ** -0.5)
            elif weight.ndim > 1 and (name == "weight" or "proj" in name):
                weight.normal_(0, weight[0].numel() ** -0.5 if weight.ndim != 3 else weight.shape[-1] ** -0.5)


def fit_head(model: Any, tokenizer: Any) -> None:
    """Point the last layer to where the pairs differ most, away from what they have in common, and scale the logits to
    SPREAD: any other direction is mostly noise, which int8 would drown."""
    import torch

    seen: list[tuple[Any, Any]] = []
    hooks = [
        module.register_forward_hook(lambda module, given, _: seen.append((module, given[0])))
        for module in model.modules()
        if isinstance(module, torch.nn.Linear) and module.out_features == 1
    ]
    rows = texts()[: 2 * PAIRS]
    given = tokenizer(rows[::2], rows[1::2], padding=True, truncation=True, max_length=64, return_tensors="pt")
    taken = _parameters(model)
    inputs = {name: value for name, value in given.items() if name in taken}
    model(**inputs)
    for hook in hooks:
        hook.remove()
    head, features = seen[-1]
    rows = features.reshape(-1, features.shape[-1])
    centred = rows - rows.mean(0)
    mean = rows.mean(0) / rows.mean(0).norm()
    centred -= torch.outer(centred @ mean, mean)
    head.weight[0] = torch.linalg.svd(centred, full_matrices=False).Vh[0]
    head.weight *= SPREAD / model(**inputs).logits[:, 0].std()
    if head.bias is not None:
        head.bias.zero_()


def _parameters(model: Any) -> set[str]:
    import inspect

    return set(inspect.signature(model.forward).parameters)


def kind_of(model_type: str, folder: Path) -> str:
    """encoder, decoder or encoder-decoder."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if config.get("is_encoder_decoder"):
        return "encoder-decoder"
    from safetensors import safe_open

    with safe_open(folder / "model.safetensors", "np") as weights:
        names = list(weights.keys())
    reads_last = any(name.startswith("score.") for name in names)
    return "decoder" if reads_last or model_type in DECODERS else "encoder"
