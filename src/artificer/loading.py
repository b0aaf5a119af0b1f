"""From a published folder to a Reranker."""

from pathlib import Path

from artificer import host
from artificer.backends import open_session
from artificer.errors import IntegrityError, SelectionError
from artificer.manifest import MANIFEST_FILE, Manifest, describe_file
from artificer.reranker import Reranker
from artificer.tokenization import PairTokenizer


def load(folder: str | Path, *, variant: str | None = None) -> Reranker:
    """Read the manifest in `folder`, verify the files, open a variant."""
    root = Path(folder)
    manifest = Manifest.from_json((root / MANIFEST_FILE).read_bytes())
    installed = host.installed_runtimes()
    names = {"onnx": "onnxruntime", "openvino": "openvino"}
    passed = [v for v in manifest.variants if v.status == "passed" and names[v.runtime] in installed]
    chosen = manifest.variant(variant) if variant else passed[0]
    if chosen.status != "passed" or chosen.graph is None:
        raise SelectionError(f"{chosen.id} is {chosen.status}: {chosen.reason}")
    for entry in (*manifest.files, *chosen.files):
        if describe_file(root, entry.path) != entry:
            raise IntegrityError(f"{entry.path} differs from the manifest.")
    threads, _ = host.thread_count()
    return Reranker(
        manifest=manifest,
        variant=chosen,
        session=open_session(chosen.runtime, root / chosen.graph, threads=threads),
        tokenizer=PairTokenizer(
            root / manifest.tokenizer.file, manifest.tokenizer, max_length=manifest.max_length, inputs=manifest.inputs
        ),
    )
