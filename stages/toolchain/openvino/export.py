"""The float32 OpenVINO IR of a checkpoint: by optimum-intel's exporter, else by OpenVINO's own conversion of torch's
program, else by that of the ONNX graph."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stages.building import torch_model
from stages.building.build_step import Built, keep_only
from stages.building.exported_program import UntraceableError, example_inputs, exported_program
from stages.building.onnx_program import onnx_program, weights_outside
from stages.building.recipes import check_recipe
from stages.building.replacements import for_tracing
from stages.core import paths
from stages.core.errors import first_line
from stages.core.variants import VariantRow
from stages.records.model_spec import ModelSpec
from stages.toolchain.openvino.ir import input_names
from stages.toolchain.openvino.lean_imports import lean_imports

LARGEST_DIFFERENCE = 1e-3  # of a logit: more is another computation, not rounding
Write = Callable[[Any, ModelSpec, Path], None]


class OtherResultsError(RuntimeError):
    """An IR takes other inputs than the model is given, or computes something else."""


def export(spec: ModelSpec, row: VariantRow, folder: Path, overrides: dict[str, Any]) -> Built:
    """Write the IR of a checkpoint into `folder`, by the first route that can. It returns logits.

    Raises:
        RuntimeError: no route can; each with its reason.
    """
    check_overrides(row, overrides)
    target = folder / row.file_name
    model = torch_model.load_model(paths.source(spec.slug), spec.model_class)
    refused: list[str] = []
    for route, write in ROUTES.items():
        try:
            with for_tracing():
                write(model, spec, target)
            if refused:
                _check_values(model, spec, target)
            break
        except Exception as error:  # each library may raise anything for a type that it does not know
            plain = isinstance(error, OtherResultsError | UntraceableError)
            refused.append(f"not by {route}: {first_line(error, with_kind=not plain)}")
    else:
        raise RuntimeError("; ".join(refused))
    keep_only(folder, "openvino_model.")
    recipe = {"preset": row.preset, "dtype": "fp32", "route": route}
    return Built(recipe=recipe, inputs=input_names(target), notes=tuple(refused))


def check_overrides(row: VariantRow, overrides: dict[str, Any]) -> None:
    """Raise RegistryError for any field: this recipe has none."""
    check_recipe(row.id, overrides, {})


def _check_values(model: Any, spec: ModelSpec, target: Path) -> None:
    """Raise OtherResultsError when an IR computes something else than torch: OpenVINO's conversions read any operator,
    and FNet's Fourier transform wrongly."""
    import numpy as np
    import openvino
    import torch

    inputs = example_inputs(model, paths.source(spec.slug))
    with torch.no_grad():
        expected = model(**inputs).logits.numpy()
    compiled = openvino.Core().compile_model(target, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = compiled({name: value.numpy() for name, value in inputs.items() if name in input_names(target)})[0]
    difference = float(np.abs(found - expected).max())
    if not difference <= LARGEST_DIFFERENCE * max(1.0, float(np.abs(expected).max())):
        raise OtherResultsError(f"its logits differ from torch's by up to {difference:.3g}")


def _by_optimum_intel(model: Any, spec: ModelSpec, target: Path) -> None:
    """optimum-intel's configuration of a model type lists the inputs, whatever the checkpoint's tokenizer returns.

    Raises:
        OtherResultsError: these are not what sentence-transformers gives to the model, so scores would differ.
    """
    with lean_imports():
        from optimum.exporters.openvino import export_from_model
        from optimum.intel.openvino import OVConfig

    # Without a dtype, models of 1e9 parameters or more silently become int8.
    config = OVConfig(dtype="fp32")
    export_from_model(model, output=target.parent, task=spec.export_task, ov_config=config, stateful=False)
    wanted, found = sorted(example_inputs(model, paths.source(spec.slug))), sorted(input_names(target))
    if wanted != found:
        raise OtherResultsError(f"it takes {', '.join(found)}; the model is given {', '.join(wanted)}")


def _by_torch(model: Any, spec: ModelSpec, target: Path) -> None:
    """OpenVINO's conversion of torch.export's program, which needs no knowledge of the model type."""
    import openvino

    inputs = example_inputs(model, paths.source(spec.slug))
    converted = openvino.convert_model(exported_program(model, inputs).run_decompositions())
    for port, name in zip(converted.inputs, inputs, strict=True):
        port.get_tensor().set_names({name})
    converted.outputs[0].get_tensor().set_names({"logits"})
    openvino.save_model(converted, target, compress_to_fp16=False)


def _by_onnx(model: Any, spec: ModelSpec, target: Path) -> None:
    """OpenVINO's conversion of the ONNX graph, which has operators for what OpenVINO does not know of torch."""
    import openvino

    with tempfile.TemporaryDirectory(prefix=".work", dir=target.parent) as folder:
        graph = Path(folder, "model.onnx")
        program = onnx_program(model, example_inputs(model, paths.source(spec.slug)))
        program.save(str(graph), external_data=weights_outside(spec.parameters))
        openvino.save_model(openvino.convert_model(graph), target, compress_to_fp16=False)


# In the order in which they are tried.
ROUTES: dict[str, Write] = {"optimum-intel": _by_optimum_intel, "torch.export": _by_torch, "ONNX": _by_onnx}
