"""optimum's levels O1 to O4 on a graph whose weights stay on disk: onnxruntime's own functions, in optimum's order.

optimum's ORTOptimizer holds the model with its weights, and onnxruntime's symbolic shape inference copies it whole,
once for every nested graph: 14 GB at 568 M parameters, more than 24 GB for DeBERTa (docs/decisions/0018). A graph's
shapes do not depend on the weights, so here every step sees a graph that refers to them: the fusions that pack weights
read them one by one from the working directory, which is where onnx looks. For small models the result is, byte for
byte, ORTOptimizer's; a test holds this.
"""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stages.building.recipes import check_recipe, plain
from stages.core.copying import copy_file
from stages.core.errors import first_line
from stages.core.variants import VariantRow
from stages.toolchain.onnx import sidecars
from stages.toolchain.onnx.level_settings import (
    LevelSettings,
    fusion_options,
    fusions_of,
    level_settings,
    model_type_of,
)

# Set by the level, so that a recipe may not.
LEVEL_FIELDS = ("optimization_level", "optimize_for_gpu")

# What onnxruntime.transformers.optimizer.optimize_model disables: they hide patterns from the fusions that follow.
ALWAYS_DISABLED = ("ConstantSharing",)
DISABLED_BEFORE_FUSIONS = (
    "MatMulScaleFusion",
    "MatMulAddFusion",
    "MatmulTransposeFusion",
    "GemmActivationFusion",
    "BiasSoftmaxFusion",
)
# Symbolic shape inference copies the graph for every nested one, again and again: minutes for DeBERTa's. The fusions do
# without; the conversion to float16 needs types, and gets them from onnxruntime.
CONTROL_FLOW = ("If", "Loop", "Scan")
HALF_FILE = "half"
# Shorter weights (biases, norms) stay in the graph: shape inference reads such values, and some fusions look at many.
LIGHT_BYTES = 2**20
PIECE_VALUES = 2**22  # of a weight at a time, while it is converted to float16
# For a model type that optimum does not know: the fusions of BERT, which is what optimum maps most encoders to. With 0
# they find the number of heads and the hidden size in the graph.
GENERIC = ("bert", 0, 0)


def write_level(
    parent: Path, target: Path, source: Path, level: str, overrides: dict[str, Any]
) -> tuple[Any, tuple[str, ...]]:
    """Write one level of `parent` to `target`. Returns optimum's settings for it, as JSON values, and notes.

    A model type that optimum does not know gets BERT's fusions, which change only what they recognise. Where fusions
    fail, as those for decoders do on graphs that torch exports, onnxruntime's general passes alone.
    """
    used = level_settings(level, overrides)
    known = fusions_of(source)
    notes = () if known else (f"optimum does not know {model_type_of(source)}: BERT's fusions",)
    try:
        optimize_graph(parent, target, known or GENERIC, used)
    except sidecars.SidecarError:
        raise
    except Exception as error:  # a fusion meets a graph that it was not written for
        if not used.enable_transformers_specific_optimizations:
            raise
        used = level_settings(level, overrides)
        used.enable_transformers_specific_optimizations = False
        optimize_graph(parent, target, GENERIC, used)
        name = known[0] if known else GENERIC[0]
        notes = (f"general passes alone: the fusions for {name} failed ({first_line(error)})",)
    return plain(vars(used)), notes


def check_overrides(row: VariantRow, overrides: dict[str, Any]) -> None:
    """Raise RegistryError for anything that is not a field of optimum's OptimizationConfig, or is set by the level."""
    check_recipe(row.id, overrides, {n: v for n, v in vars(LevelSettings()).items() if n not in LEVEL_FIELDS})


def optimize_graph(parent: Path, target: Path, fusions: tuple[str, int, int], settings: Any) -> None:
    """Write the optimised graph of `parent` to `target`, with a sidecar if `parent` has one.

    Args:
        fusions: see `fusions_of`.
        settings: `LevelSettings`; `disable_shape_inference` is set in it for a graph with nested graphs.

    Raises:
        SidecarError: the parent's external data is not whole.
    """
    from onnxruntime.transformers.optimizer import MODEL_TYPES, optimize_by_fusion

    model_type, heads, hidden = fusions
    files = sidecars.check_sidecars(parent, beside=("variant.json",))
    with _work_folder(target.parent) as work:
        _write_light_graph(files, work / "light.onnx", settings)
        model = _load_light(work / "light.onnx")
        with contextlib.chdir(work):  # where the fusions read weights from
            if any(node.op_type in CONTROL_FLOW for node in model.graph.node):
                settings.disable_shape_inference = True
            if settings.enable_transformers_specific_optimizations:
                options = fusion_options(settings, model_type)
                optimizer = optimize_by_fusion(model, model_type, heads, hidden, options)
            else:
                optimizer = MODEL_TYPES[model_type][0](model, heads, hidden)
            if settings.fp16:
                _convert_to_half(optimizer, symbolic_shapes=not settings.disable_shape_inference)
            sidecars.spill(optimizer.model, Path("packed"))
            optimizer.save_model_to_file(target.name)
        del model, optimizer
        if len(files) > 1:
            sidecar = sidecars.normalise_sidecars(work, target.name)
            assert sidecar is not None
            sidecar.rename(target.with_name(sidecar.name))
            (work / target.name).rename(target)
        else:
            _save_whole(work / target.name, target)


def _write_light_graph(files: tuple[Path, ...], light: Path, settings: Any) -> None:
    """onnxruntime's own pass, which writes the weights beside the graph; or the parent as it is, in the same form."""
    parent, *others = files
    # For a GPU onnxruntime's own pass needs one, and its result would differ between machines: left out everywhere.
    if settings.optimization_level > 0 and not settings.optimize_for_gpu:
        fuses = settings.optimization_level > 1 and settings.enable_transformers_specific_optimizations
        disabled = [*ALWAYS_DISABLED, *(DISABLED_BEFORE_FUSIONS if fuses else ())]
        _write_as_opened(parent, light, settings.optimization_level, disabled_optimizers=disabled)
        return
    import onnx

    model = onnx.load(str(parent), load_external_data=False)
    for path in others:
        copy_file(path, light.with_name(path.name))
    sidecars.spill(model, light.with_name("weights"))
    light.write_bytes(model.SerializeToString())


def _write_as_opened(graph: Path, target: Path, level: int, **options: Any) -> None:
    """Write the graph that an onnxruntime session of that level makes of `graph`, with its weights in a file beside it.

    onnxruntime.transformers.optimizer.optimize_by_onnxruntime does the same, but imports torch, which only GPUs need.
    """
    import onnxruntime

    known = onnxruntime.GraphOptimizationLevel
    levels = {0: known.ORT_DISABLE_ALL, 1: known.ORT_ENABLE_BASIC, 2: known.ORT_ENABLE_EXTENDED}
    session = onnxruntime.SessionOptions()
    session.graph_optimization_level = levels.get(level, known.ORT_ENABLE_ALL)
    session.optimized_model_filepath = str(target)
    session.add_session_config_entry("session.optimized_model_external_initializers_file_name", "weights")
    session.add_session_config_entry("session.optimized_model_external_initializers_min_size_in_bytes", "1024")
    session.add_session_config_entry("session.disable_prepacking", "1")  # it copies weights, for nothing here
    onnxruntime.InferenceSession(str(graph), session, providers=["CPUExecutionProvider"], **options)


def _load_light(light: Path) -> Any:
    """The graph with its small values in it, and the large ones outside."""
    import onnx

    model = onnx.load(str(light), load_external_data=False)
    for span in sidecars.check_spans(light.parent, light.name, model):
        if span.length < LIGHT_BYTES:
            sidecars.load(span, light.parent)
    return model


def _convert_to_half(optimizer: Any, *, symbolic_shapes: bool) -> None:
    """onnxruntime's conversion to float16, of a graph whose weights are in the working directory.

    The converter changes types; the weights' values are converted here, before, with its own function, into a second
    file. What it leaves in float32 is pointed back to the first.
    """
    import numpy as np
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16, convert_np_to_float16

    if not symbolic_shapes:
        _infer_types(optimizer.model)
    here = Path()
    origins: dict[int, sidecars.Span] = {}
    with (here / HALF_FILE).open("wb") as out:
        for span in sidecars.check_spans(here, "the graph", optimizer.model):
            if span.tensor.data_type != onnx.TensorProto.FLOAT:
                continue
            offset = out.tell()
            values = np.memmap(span.location, np.float32, "r", span.offset, (span.length // 4,))
            for start in range(0, len(values), PIECE_VALUES):
                out.write(convert_np_to_float16(values[start : start + PIECE_VALUES]).tobytes())
            out.write(b"\0" * (-out.tell() % sidecars.ALIGNMENT))
            origins[offset] = span
            sidecars.point(span.tensor, HALF_FILE, offset, span.length // 2)
    if symbolic_shapes:
        optimizer.convert_float_to_float16(keep_io_types=True)
    else:  # the same, without the inference
        optimizer.initialize(convert_float_to_float16(optimizer.model, keep_io_types=True, disable_shape_infer=True))
        optimizer.disable_shape_inference()  # `initialize` has enabled it again
        optimizer.remove_cascaded_cast_nodes()
        optimizer.remove_useless_cast_nodes()
    for tensor in sidecars.tensors(optimizer.model):
        places = {entry.key: entry.value for entry in tensor.external_data}
        if places.get("location") == HALF_FILE and tensor.data_type == onnx.TensorProto.FLOAT:
            origin = origins[int(places["offset"])]
            sidecars.point(tensor, origin.location, origin.offset, origin.length)


def _infer_types(model: Any) -> None:
    """Add the element type of every value to a graph whose weights are in the working directory.

    onnxruntime knows the types of its own fused operators, and writes them into a graph that it saves as it is.
    """
    import onnx

    folder = Path("typed")
    folder.mkdir()
    sidecars.spill(model, Path("spilled"))
    untyped, typed = Path("untyped.onnx"), folder / "typed.onnx"
    untyped.write_bytes(model.SerializeToString())
    _write_as_opened(untyped, typed, 0)
    known = {value.name for value in model.graph.value_info}
    for value in onnx.load(str(typed), load_external_data=False).graph.value_info:
        if value.name not in known and value.type.tensor_type.elem_type:
            value.type.tensor_type.ClearField("shape")
            model.graph.value_info.append(value)
    shutil.rmtree(folder)
    untyped.unlink()


def _save_whole(graph: Path, target: Path) -> None:
    """The graph with all its weights in it, as its parent has them."""
    import onnx

    model = onnx.load(str(graph), load_external_data=False)
    for span in sidecars.check_spans(graph.parent, graph.name, model):
        sidecars.load(span, graph.parent)
    onnx.save_model(model, str(target))


@contextmanager
def _work_folder(beside: Path) -> Iterator[Path]:
    """On the disk of the result: /tmp may be small, or be memory."""
    with tempfile.TemporaryDirectory(prefix=".work", dir=beside) as name:
        yield Path(name).resolve()
