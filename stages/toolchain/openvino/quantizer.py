"""Imports optimum-intel's quantiser, which takes seconds. Child processes are forked from a process that has imported
this module (stages/core/child_process.py)."""

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
