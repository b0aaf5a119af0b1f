"""optimum-intel's quantiser with all that it imports, which takes seconds: children are forked from a process that has
imported this module (stages/core/child_process.py)."""

from stages.core import environment

with environment.hidden("sentence_transformers", "sklearn", "datasets"):
    from optimum.intel.openvino import (
        OVConfig,
        OVModelForSequenceClassification,
        OVQuantizationConfig,
        OVQuantizer,
        OVWeightQuantizationConfig,
    )

__all__ = [
    "OVConfig",
    "OVModelForSequenceClassification",
    "OVQuantizationConfig",
    "OVQuantizer",
    "OVWeightQuantizationConfig",
]
