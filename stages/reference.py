"""Stage `reference`: the logits that every variant is compared with: torch, float32, eager attention."""

import msgspec
from msgspec import Struct

from artificer.manifest import Reference, canonical_json
from stages.building import torch_model
from stages.core import files, paths
from stages.core.errors import SourceError
from stages.core.params import load_params
from stages.data import read_pairs
from stages.records.model_spec import load_spec
from stages.tasks import BUILDING_TASKS


class ReferenceLogits(Struct, frozen=True, kw_only=True):
    """`logits[i]` are those of evaluation pair i, one per label."""

    made_with: Reference
    logits: tuple[tuple[float, ...], ...]


def run(slug: str) -> None:
    """Write reference.json. Raises SourceError when the checkpoint is not whole."""
    import numpy as np
    import torch
    import transformers

    spec, params = load_spec(slug), load_params().parity
    pairs = [(p.query, p.passage) for p in read_pairs(paths.evaluation(slug)).pairs[: params.rows]]
    torch.manual_seed(0)
    model = torch_model.load_model(paths.source(slug), BUILDING_TASKS[spec.task].model_class)
    tokenizer = torch_model.load_tokenizer(paths.source(slug))
    logits = torch_model.torch_logits(model, tokenizer, pairs, spec.max_length, params.batch_size)
    if not np.isfinite(logits).all():
        raise SourceError(f"{spec.source.location}: torch's own logits are not all finite: the weights are broken.")
    found = ReferenceLogits(
        made_with=Reference(
            framework="torch",
            version=torch.__version__.partition("+")[0],
            transformers_version=transformers.__version__,
            dtype="float32",
            attention="eager",
        ),
        logits=tuple(tuple(float(value) for value in row) for row in logits),
    )
    files.write_file(paths.reference(slug), canonical_json(found))
    print(f"{len(pairs)} pairs, logits from {logits.min():.3f} to {logits.max():.3f}")


def load_reference(slug: str) -> ReferenceLogits:
    """What `run` wrote."""
    return msgspec.json.decode(paths.reference(slug).read_bytes(), type=ReferenceLogits)
