"""Stage `reference`: what a user of sentence-transformers gets from the checkpoint. Every variant is compared with it.

CrossEncoder's logits in float32, with its prompts, lengths and truncation; torch's own beside them; and the files that
are published of the checkpoint, with which the runtime makes the same tokens of every pair and of awkward texts.
"""

import numpy as np

from artificer.inference.activations import activate
from artificer.manifest import Reference
from stages.building import torch_model
from stages.core import paths
from stages.core.errors import SourceError
from stages.core.params import load_params
from stages.peer.awkward_pairs import awkward_pairs
from stages.peer.cross_encoder import logits_of, open_cross_encoder, recorded_tokens, token_rows
from stages.peer.published_checkpoint import write_published
from stages.peer.reference_lengths import length_texts, with_outputs
from stages.records.golden_rows import golden_rows
from stages.records.model_spec import ModelSpec, load_spec
from stages.records.pairs import read_pairs
from stages.records.reference_outputs import ReferenceLogits, write_reference

BARE_PAIRS = 64
LARGEST_BARE_DIFFERENCE = 1e-3  # of a logit: more is another computation, not rounding


def run(slug: str) -> None:
    """Write reference.json and `published/`.

    Raises:
        SourceError: the checkpoint is not whole, or the runtime would give other scores than CrossEncoder.
    """
    import sentence_transformers
    import torch
    import transformers

    spec, params, publish = load_spec(slug), load_params().parity, load_params().publish
    evaluation = read_pairs(paths.evaluation(slug))
    pairs = evaluation.texts(params.rows)
    torch.manual_seed(0)
    model = open_cross_encoder(spec, paths.source(slug))
    batch_size = params.batch_size if spec.padded else 1
    with recorded_tokens(model) as tokens:
        logits = logits_of(model, pairs, batch_size)
    if not np.isfinite(logits).all():
        raise SourceError(
            f"{spec.source.location}: torch's own logits are not all finite: a weight is not, or the model "
            "overflows in float32. There is nothing to compare a variant with."
        )
    _check_scores(spec, model, pairs[:BARE_PAIRS], logits[:BARE_PAIRS], batch_size)
    awkward = awkward_pairs(spec.max_length, model.tokenizer.get_added_vocab())
    tokens.update(zip(awkward, token_rows(model, awkward), strict=True))
    published = write_published(spec, model, tokens)
    public = pairs
    if publish.proof_set == "golden":  # the texts of many lengths are published: of what is public alone
        public = [pairs[i] for i in golden_rows(logits.tolist(), evaluation.pairs, params.golden_pairs)]
    lengths = length_texts(spec, params, public)
    lengths = with_outputs(lengths, logits_of(model, lengths.texts, batch_size))
    tokenizer = model.tokenizer
    del model  # before the bare one is loaded: one copy of the weights at a time
    difference = _bare_difference(spec, tokenizer, pairs[:BARE_PAIRS], logits[:BARE_PAIRS], batch_size)
    made_with = Reference(
        framework="torch",
        version=torch.__version__.partition("+")[0],
        transformers_version=transformers.__version__,
        sentence_transformers_version=sentence_transformers.__version__,
        dtype="float32",
        attention="eager",
    )
    rows = tuple(tuple(float(value) for value in row) for row in logits)
    found = ReferenceLogits(
        made_with=made_with,
        logits=rows,
        bare_max_abs=difference,
        pairs_with_equal_tokens=len(tokens),
        lengths=lengths,
    )
    write_reference(slug, found)
    print(
        f"{len(pairs)} pairs, logits from {logits.min():.3f} to {logits.max():.3f}; equal tokens for these and "
        f"{len(awkward)} awkward pairs; {len(lengths.lengths)} lengths from {lengths.lengths[0]} to "
        f"{lengths.lengths[-1]} tokens; torch alone within {difference:.1e}"
    )
    for name, reason in published.rewritten.items():
        print(f"{name} is published as sentence-transformers uses it: {reason}")


def _bare_difference(
    spec: ModelSpec, tokenizer: object, pairs: list[tuple[str, str]], expected: np.ndarray, batch_size: int
) -> float:
    """The largest difference of a logit between CrossEncoder and the model that is exported, which is torch's alone."""
    model = torch_model.load_model(paths.source(spec.slug), spec.model_class)
    prompted = [(spec.prompt + query, passage) for query, passage in pairs]
    found = torch_model.torch_logits(model, tokenizer, prompted, spec.max_length, batch_size)
    difference = float(np.abs(found - expected).max())
    if not difference <= LARGEST_BARE_DIFFERENCE * max(1.0, float(np.abs(expected).max())):
        raise SourceError(
            f"{spec.source.location}: CrossEncoder's logits differ from those of {spec.architecture} by up to "
            f"{difference:.3g}: it computes something else, which an exported graph would not."
        )
    return difference


def _check_scores(
    spec: ModelSpec, model: object, pairs: list[tuple[str, str]], logits: np.ndarray, batch_size: int
) -> None:
    """Raise SourceError when CrossEncoder applies another activation than the spec says it does."""
    if spec.activation != spec.declared_activation:
        return  # the entry decides, and the card says what to give to CrossEncoder
    theirs = np.asarray(model.predict(pairs, batch_size=batch_size, show_progress_bar=False))  # type: ignore[attr-defined]
    ours = activate(logits, spec.activation).reshape(theirs.shape)
    if not np.allclose(ours, theirs, atol=1e-5):
        raise SourceError(
            f"{spec.source.location}: activation: {spec.activation} of the logits is not what CrossEncoder returns: "
            f"the scores differ by up to {float(np.abs(ours - theirs).max()):.3g}. Say which applies with `activation` "
            "in the entry."
        )
