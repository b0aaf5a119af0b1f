"""int8 of an OpenVINO IR by optimum-intel and nncf, each time in a process of its own (stages/core/child_process.py):
OpenVINO numbers the nodes of a graph per process, so that only a fresh one gives the same bytes whatever was tried
before."""

from inspect import signature
from pathlib import Path
from typing import Any

from stages.building.variant_builder import Built, plain
from stages.toolchain.onnx import onnx_graph

# Set here, from the calibration set.
NOT_IN_RECIPES = ("self", "kwargs", "dataset", "tokenizer", "processor")
WEIGHTS_ONLY = "weights_only"
Rows = list[dict[str, list[int]]]


def quantise(
    parent: Path,
    source: Path,
    target: Path,
    base: str,
    overrides: dict[str, Any],
    changes: dict[str, Any],
    calibration: Rows,
) -> Built:
    """Write openvino_model.xml and .bin beside `target`, which they are to become: static int8 of weights and
    activations, or, where `changes` has `weights_only`, of the weights alone. `overrides` are the user's fields of the
    library's configuration; `changes` win over them."""
    import openvino
    from datasets import Dataset
    from optimum.intel.openvino import (
        OVConfig,
        OVModelForSequenceClassification,
        OVQuantizer,
    )
    from transformers import AutoConfig

    weights_only = bool(changes.get(WEIGHTS_ONLY))
    changed = {name: value for name, value in changes.items() if name != WEIGHTS_ONLY}
    kind: Any = _configuration(weights_only=weights_only)
    samples = {} if weights_only else {"num_samples": len(calibration)}
    settings = kind(**{**samples, **overrides, **changed})
    model = OVModelForSequenceClassification(
        openvino.Core().read_model(parent),
        config=AutoConfig.from_pretrained(source, trust_remote_code=False),
        compile=False,
        ov_config={"INFERENCE_PRECISION_HINT": "f32"},
    )
    columns = {name: [row[name] for row in calibration] for name in calibration[0]} if calibration else {}
    OVQuantizer.from_pretrained(model).quantize(
        calibration_dataset=None if weights_only else Dataset.from_dict(columns),
        save_directory=target.parent,
        ov_config=OVConfig(quantization_config=settings),
    )
    onnx_graph.keep_only(target.parent, "openvino_model.")
    recipe = {"base": base, "overrides": plain(overrides), "settings": plain(settings.to_dict())}
    if not weights_only:
        recipe["calibration_rows"] = len(calibration)
    written = openvino.Core().read_model(target.parent / "openvino_model.xml")
    return Built(recipe=recipe, inputs=tuple(port.get_any_name() for port in written.inputs))


def fields(*, weights_only: bool) -> dict[str, Any]:
    """What a recipe may set, with its defaults."""
    parameters = signature(_configuration(weights_only=weights_only)).parameters
    return {name: parameter.default for name, parameter in parameters.items() if name not in NOT_IN_RECIPES}


def _configuration(*, weights_only: bool) -> Any:
    from optimum.intel.openvino import OVQuantizationConfig, OVWeightQuantizationConfig

    return OVWeightQuantizationConfig if weights_only else OVQuantizationConfig
