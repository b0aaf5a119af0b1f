"""A mixture of experts as a sum over all experts, for the exporters.

transformers asks which tokens chose an expert and computes these alone, which torch.export cannot follow, or copies an
expert's weights for every token, which takes more memory than the model. Here every expert sees every token, and its
result counts by its share, which is 0 where it was not chosen: the same sum, with constant weights that int8 can
quantise, for more multiplications.
"""

from typing import Any

NAME = "artificer_dense"


def use_dense_experts(model: Any) -> None:
    """Make the experts of a model, if it has any, compute in this way from now on."""
    from transformers.integrations.moe import ALL_EXPERTS_FUNCTIONS

    ALL_EXPERTS_FUNCTIONS.register(NAME, dense_experts)
    model.config._experts_implementation = NAME


def dense_experts(self: Any, hidden_states: Any, top_k_index: Any, top_k_weights: Any) -> Any:
    """The forward of any experts module of transformers.

    Args:
        hidden_states: `[tokens, width]`.
        top_k_index: the experts that each token chose, `[tokens, k]`.
        top_k_weights: their shares, `[tokens, k]`.
    """
    result: Any = 0
    for expert in range(self.num_experts):
        share = (top_k_weights * (top_k_index == expert)).sum(dim=-1, keepdim=True)
        if self.has_gate:
            inner = self._apply_gate(_linear(self, "gate_up_proj", expert, hidden_states))
        else:
            inner = self.act_fn(_linear(self, "up_proj", expert, hidden_states))
        result = result + share * _linear(self, "down_proj", expert, inner)
    return result.to(hidden_states.dtype)


def _linear(self: Any, name: str, expert: int, given: Any) -> Any:
    weight = getattr(self, name)[expert]
    found = given @ (weight if self.is_transposed else weight.transpose(0, 1))
    return found + getattr(self, f"{name}_bias")[expert] if self.has_bias else found
