"""What the layers of an ONNX graph are given: tensors inside the graph, for a few batches of texts."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.core.copying import copy_file
from stages.fallback.layer_ranking import Batch
from stages.toolchain.onnx import onnx_graph, sidecars


def layer_inputs(
    parent: Path, names: Sequence[str], batches: Sequence[Batch], scratch: Path
) -> Iterator[dict[str, NDArray[Any]]]:
    """The tensors `names` of each batch, by name, as the graph computes them without optimisations.

    `scratch` is an empty folder, and empty again afterwards: a copy of the graph that returns the tensors lies there.
    """
    import onnx
    import onnxruntime as ort

    model = onnx_graph.load_graph(parent)
    known = {value.name for value in (*model.graph.output, *model.graph.input)}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in known)
    # onnxruntime opens sidecars beside the graph only.
    for sidecar in sidecars.check_sidecars(parent, beside=("variant.json",))[1:]:
        copy_file(sidecar, scratch / sidecar.name)
    path = scratch / parent.name
    onnx.save_model(model, str(path))
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    inputs = {value.name for value in session.get_inputs()}
    wanted = list(names)
    for batch in batches:
        found = session.run(wanted, {name: value for name, value in batch.items() if name in inputs})
        yield dict(zip(wanted, map(np.asarray, found), strict=True))
    del session
    for file in scratch.iterdir():
        file.unlink()
