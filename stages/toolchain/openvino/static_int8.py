"""int8 of an OpenVINO IR by optimum-intel and nncf, each time in a process of its own (stages/core/child_process.py):
OpenVINO numbers the nodes of a graph per process, so that only a fresh one gives the same bytes whatever was tried
before."""

from inspect import signature
from pathlib import Path
from typing import Any

from msgspec import Struct

from stages.building.build_step import Built, keep_only
from stages.building.calibration import Rows
from stages.building.recipes import check_kinds, check_recipe, check_words, plain, refused
from stages.core.errors import first_line
from stages.core.variants import VariantRow
from stages.toolchain.openvino.ir import input_names

# Set here, from the calibration set.
NOT_IN_RECIPES = ("self", "kwargs", "dataset", "tokenizer", "processor")
WEIGHTS_ONLY = "weights_only"


class Job(Struct, frozen=True, kw_only=True):
    """What is quantised, and with which texts: the float IR `parent` of the checkpoint in `source`."""

    parent: Path
    source: Path
    preset: str
    calibration: Rows


def quantise(job: Job, target: Path, overrides: dict[str, Any], changes: dict[str, Any]) -> Built:
    """Write openvino_model.xml and .bin beside `target`, which they are to become: static int8 of weights and
    activations, or, where `changes` has `weights_only`, of the weights alone. `overrides` are the user's fields of the
    library's configuration; `changes` win over them."""
    import nncf
    import openvino
    from transformers import AutoConfig

    from stages.toolchain.openvino.quantizer import OVConfig, OVModelForSequenceClassification, OVQuantizer

    weights_only = bool(changes.get(WEIGHTS_ONLY))
    changed = {name: value for name, value in changes.items() if name != WEIGHTS_ONLY}
    kind: Any = _configuration(weights_only=weights_only)
    samples = {} if weights_only else {"num_samples": len(job.calibration)}
    settings = kind(**{**samples, **overrides, **changed})
    model = OVModelForSequenceClassification(
        openvino.Core().read_model(job.parent),
        config=AutoConfig.from_pretrained(job.source, trust_remote_code=False),
        compile=False,
        ov_config={"INFERENCE_PRECISION_HINT": "f32"},
    )
    OVQuantizer.from_pretrained(model).quantize(
        # Arrays, because a data set of `datasets` is read in random order and converted to tensors and back.
        calibration_dataset=None if weights_only else nncf.Dataset(job.calibration),
        save_directory=target.parent,
        ov_config=OVConfig(quantization_config=settings),
    )
    keep_only(target.parent, "openvino_model.")
    recipe = {"preset": job.preset, "overrides": plain(overrides), "settings": plain(settings.to_dict())}
    if not weights_only:
        recipe["calibration_rows"] = len(job.calibration)
    return Built(recipe=recipe, inputs=input_names(target.parent / "openvino_model.xml"))


def check_overrides(row: VariantRow, overrides: dict[str, Any]) -> None:
    """Raise RegistryError for what is not a field of optimum-intel's configuration, or a value that it does not take;
    half precision has none."""
    if not overrides:
        return  # without asking the library, whose import takes seconds
    if row.preset in ("fp16", "bf16"):
        check_recipe(row.id, overrides, {})
        return
    weights_only = row.preset != "static"
    check_recipe(row.id, overrides, fields(weights_only=weights_only))
    check_kinds(row.id, overrides, _kinds(weights_only=weights_only))
    check_words(row.id, overrides, {} if weights_only else _words())
    try:
        _configuration(weights_only=weights_only)(**overrides)
    except (TypeError, ValueError) as error:  # what the library itself checks
        raise refused(row.id, "", first_line(error, with_kind=False).rstrip(".")) from None


def fields(*, weights_only: bool) -> dict[str, Any]:
    """What a recipe may set, with its defaults."""
    parameters = signature(_configuration(weights_only=weights_only)).parameters
    return {name: parameter.default for name, parameter in parameters.items() if name not in NOT_IN_RECIPES}


def _kinds(*, weights_only: bool) -> dict[str, Any]:
    """The annotated types of fields whose default says nothing."""
    parameters = signature(_configuration(weights_only=weights_only)).parameters
    return {name: parameter.annotation for name, parameter in parameters.items() if parameter.default is None}


def _words() -> dict[str, list[str]]:
    """The fields of static int8 that take one of a few words, which the library passes on unread."""
    from nncf import ModelType
    from nncf.quantization.advanced_parameters import OverflowFix

    return {
        "overflow_fix": [each.value for each in OverflowFix],
        "model_type": [each.value for each in ModelType],
        "dtype": ["int8"],  # the float8 types are another variant's arithmetic
    }


def _configuration(*, weights_only: bool) -> Any:
    from stages.toolchain.openvino.quantizer import OVQuantizationConfig, OVWeightQuantizationConfig

    return OVWeightQuantizationConfig if weights_only else OVQuantizationConfig
