"""Model types whose scores depend on padding, so that a text's score would depend on its neighbours in a batch.

They mix neighbouring positions by convolutions, Fourier transforms, pooling or hashing, which know no mask, or pool a
position that padding moves. Measured on checkpoints of every type (docs/architectures.md): scores alone and in a padded
batch differ by 3e-2 and more; those of all other types by less than 2e-5.
"""

from stages.registry.checkpoint.json_objects import Config

_TYPES = (
    "canine",
    "convbert",
    "fnet",
    "funnel",
    "nystromformer",
    "reformer",
    "t5gemma",
    "t5gemma2",
    "yoso",
    "zamba2",
)


def padding_changes_scores(config: Config) -> bool:
    """Whether texts of this model are batched only with texts of the same number of tokens."""
    return config.get("model_type") in _TYPES
