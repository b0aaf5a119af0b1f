"""Stage `reference`: the logits that every variant is compared with: torch, float32, eager attention."""

from artificer.manifest import Reference
from stages.building import torch_model
from stages.core import paths
from stages.core.errors import SourceError
from stages.core.params import load_params
from stages.records.model_spec import load_spec
from stages.records.pairs import read_pairs
from stages.records.reference_outputs import ReferenceLogits, write_reference


def run(slug: str) -> None:
    """Write reference.json. Raises SourceError when the checkpoint is not whole."""
    import numpy as np
    import torch
    import transformers

    spec, params = load_spec(slug), load_params().parity
    pairs = read_pairs(paths.evaluation(slug)).texts(params.rows)
    torch.manual_seed(0)
    model = torch_model.load_model(paths.source(slug), spec.model_class)
    tokenizer = torch_model.load_tokenizer(paths.source(slug))
    logits = torch_model.torch_logits(model, tokenizer, pairs, spec.max_length, params.batch_size)
    if not np.isfinite(logits).all():
        raise SourceError(f"{spec.source.location}: torch's own logits are not all finite: the weights are broken.")
    made_with = Reference(
        framework="torch",
        version=torch.__version__.partition("+")[0],
        transformers_version=transformers.__version__,
        dtype="float32",
        attention="eager",
    )
    rows = tuple(tuple(float(value) for value in row) for row in logits)
    write_reference(slug, ReferenceLogits(made_with=made_with, logits=rows))
    print(f"{len(pairs)} pairs, logits from {logits.min():.3f} to {logits.max():.3f}")
