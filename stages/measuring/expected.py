"""What a model's sessions are asked, and what the reference answered."""

import numpy as np

from artificer.proving.reference_answers import Expected
from artificer.tasks.task import TASKS
from stages.core import paths
from stages.core.params import ParityParams
from stages.records.model_spec import ModelSpec
from stages.records.pairs import read_pairs
from stages.records.reference_outputs import load_reference


def load_expected(spec: ModelSpec, params: ParityParams, rows: int) -> Expected:
    """The first `rows` pairs of the evaluation set, and the texts of many lengths, with the reference's logits."""
    pairs = read_pairs(paths.evaluation(spec.slug)).texts(rows)
    reference = load_reference(spec.slug)
    return Expected(
        pairs=pairs,
        logits=np.asarray(reference.logits[: len(pairs)], dtype=np.float32),
        task=TASKS[spec.task],
        head=spec.head,
        batch_size=params.batch_size,
        top_k=params.top_k,
        lengths=reference.lengths,
    )
