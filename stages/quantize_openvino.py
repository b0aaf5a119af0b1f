"""Stage `quantize_openvino`: static int8, by optimum-intel's OVQuantizer (nncf), calibrated on query-passage pairs."""

from inspect import signature
from pathlib import Path
from typing import Any

from stages import onnx_graph, paths, torch_model
from stages.build import Built, build_step, check_recipe, parent_graph, plain
from stages.data import read_pairs
from stages.export_openvino import openvino_input_names
from stages.params import load_params
from stages.spec import load_spec
from stages.variants import VariantRow

LENGTH_STEP = 16
# Set here, from the calibration set.
NOT_IN_RECIPES = ("self", "kwargs", "dataset", "tokenizer", "processor")


def run(slug: str) -> None:
    """Write the variant `openvino-qint8`."""

    def make(row: VariantRow, folder: Path, overrides: dict[str, Any]) -> Built:
        import openvino
        from optimum.intel.openvino import (
            OVConfig,
            OVModelForSequenceClassification,
            OVQuantizationConfig,
            OVQuantizer,
        )
        from transformers import AutoConfig

        parent = parent_graph(slug, "openvino")
        calibration = calibration_rows(slug, openvino_input_names(parent))
        parameters = signature(OVQuantizationConfig).parameters
        check_recipe(row.id, overrides, {n: p.default for n, p in parameters.items() if n not in NOT_IN_RECIPES})
        settings = OVQuantizationConfig(**{"num_samples": len(calibration), **overrides})
        model = OVModelForSequenceClassification(
            openvino.Core().read_model(parent),
            config=AutoConfig.from_pretrained(paths.source(slug), trust_remote_code=False),
            compile=False,
            ov_config={"INFERENCE_PRECISION_HINT": "f32"},
        )
        OVQuantizer.from_pretrained(model).quantize(
            calibration_dataset=calibration,
            save_directory=folder,
            ov_config=OVConfig(quantization_config=settings),
        )
        onnx_graph.keep_only(folder, "openvino_model.")
        for suffix in (".xml", ".bin"):
            (folder / "openvino_model").with_suffix(suffix).rename((folder / row.file_name).with_suffix(suffix))
        return Built(
            recipe={
                "base": row.base,
                "overrides": plain(overrides),
                "settings": plain(settings.to_dict()),
                "calibration_rows": len(calibration),
            },
            inputs=openvino_input_names(folder / row.file_name),
        )

    build_step(slug, "quantize_openvino", make)


def calibration_rows(slug: str, inputs: tuple[str, ...]) -> Any:
    """A datasets.Dataset of tokenised pairs, each padded to a multiple of 16 tokens.

    Little padding is what the runtime sees as well, and OpenVINO compiles anew for every length that it meets.
    """
    from datasets import Dataset

    params = load_params().quantize_openvino
    spec = load_spec(slug)
    tokenizer = torch_model.load_tokenizer(paths.source(slug))
    pairs = read_pairs(paths.calibration(slug)).pairs[: params.calibration_rows]
    rows = [
        tokenizer(
            pair.query,
            pair.passage,
            truncation="longest_first",
            max_length=min(params.max_length, spec.max_length),
            padding=True,
            pad_to_multiple_of=LENGTH_STEP,
            return_token_type_ids="token_type_ids" in inputs,
        )
        for pair in pairs
    ]
    return Dataset.from_dict({name: [row[name] for row in rows] for name in inputs})
