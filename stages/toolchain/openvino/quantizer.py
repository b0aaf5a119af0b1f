"""Imports optimum-intel's quantiser, which takes seconds. Child processes are forked from a process that has imported
this module (stages/core/child_process.py)."""

from stages.toolchain.openvino.lean_imports import lean_imports

with lean_imports():
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
