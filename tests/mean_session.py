"""A session that computes without a runtime, and may be told to be wrong."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from artificer.backends.session import Inputs, Output
from artificer.manifest import ExecutionPrecision, Runtime, Tuning

Fault = Callable[[int, Output], Output]
"""What becomes of the logits of a batch of some width."""


class MeanSession:
    """The mean of a row's token ids as its logit, scaled to a few units; `fault` changes what a width gives."""

    runtime: Runtime = "onnx"
    execution_precision: ExecutionPrecision = "f32"
    compiles_per_shape = False
    tuning = Tuning()
    input_names = ("input_ids", "attention_mask")

    def __init__(self, fault: Fault = lambda _, logits: logits):
        self.fault = fault
        self.shapes: list[tuple[int, int]] = []

    def parallelism(self) -> int:
        """One batch at a time."""
        return 1

    def run(self, inputs: Inputs) -> Output:
        """The logits of a batch, which ignore padding."""
        ids, mask = inputs["input_ids"], inputs["attention_mask"]
        self.shapes.append((int(ids.shape[0]), int(ids.shape[1])))
        logits = ((ids * mask).sum(axis=1) / mask.sum(axis=1) / 2000 - 1).astype(np.float32)[:, None]
        return self.fault(int(ids.shape[1]), logits)

    def run_many(self, batches: Iterable[Inputs]) -> Iterator[Output]:
        """The logits of each batch."""
        return map(self.run, batches)

    def close(self) -> None:
        """Nothing to close."""
