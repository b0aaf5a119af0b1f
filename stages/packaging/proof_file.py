"""The proof set that goes into a package: `publish.proof_set` of params.yaml says how much."""

from pathlib import Path

import msgspec

from artificer.manifest import Manifest, ProofSetEntry, describe_file
from artificer.proving.proof_set import PROOF_FILE, ProofSet, packed
from stages.core import paths
from stages.core.params import BuildParams
from stages.records.golden_rows import golden_rows
from stages.records.pairs import read_pairs
from stages.records.reference_outputs import load_reference


def with_proof_set(manifest: Manifest, params: BuildParams, folder: Path) -> Manifest:
    """Write the file into `folder`; the manifest that says so."""
    found = _proof_set(manifest.slug, params)
    (folder / PROOF_FILE).write_bytes(packed(found))
    entry = ProofSetEntry(
        file=describe_file(folder, PROOF_FILE),
        pairs=len(found.texts),
        lengths=len(found.lengths.texts),
        batch_size=params.parity.batch_size,
        top_k=params.parity.top_k,
        thresholds={name: limits.by_name() for name, limits in params.thresholds.items()},
    )
    return msgspec.structs.replace(manifest, proof=entry)


def _proof_set(slug: str, params: BuildParams) -> ProofSet:
    reference, wanted = load_reference(slug), params.publish.proof_set
    pairs = read_pairs(paths.evaluation(slug)).pairs[: len(reference.logits)]
    if wanted == "golden":
        rows = golden_rows(reference.logits, pairs, params.parity.golden_pairs)
    else:
        rows = list(range(len(pairs) if wanted == "all" else min(wanted, len(pairs))))
    return ProofSet(
        texts=tuple((pairs[i].query, pairs[i].passage) for i in rows),
        outputs=tuple(reference.logits[i] for i in rows),
        lengths=reference.lengths,
    )
