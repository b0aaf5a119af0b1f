"""What a service does with a published model. Runs in the environment of a row, with artificer's wheel and no tests.

    python -I suite.py STEP FOLDER

Each step is a process of its own: the client of the Hub reads its environment once, at import. FOLDER is the published
folder, whose manifest holds the scores to compare with.
"""

import logging
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import artificer
from artificer.manifest import Manifest

REPO = "acme/reranker"
REGISTRY = "acme/registry"
SLUG = "reranker"
TOLERANCE = 1e-5

_logged: list[str] = []


def folder(published: Path) -> None:
    """Each variant of a local folder gives the stored scores; so does the one that is chosen without a wish.

    In one process with sentence-transformers, where that is installed.
    """
    if find_spec("sentence_transformers"):
        import_module("sentence_transformers").CrossEncoder  # noqa: B018  # imports torch and transformers
    for variant in (None, "onnx", "openvino"):
        compare(artificer.load(published, variant=variant), published)


def hub(published: Path) -> None:
    """The same from a repository, and by name from an index; the index's copy and the model stay in the cache."""
    for variant in ("onnx", "openvino"):
        compare(artificer.load(REPO, variant=variant), published)
    compare(artificer.load(SLUG, index=REGISTRY), published)


def offline(published: Path) -> None:
    """With HF_HUB_OFFLINE set, both start from the cache; a model that is not there is named."""
    cached(published)
    assert "Load the model once online" in refusal("acme/unseen")
    assert not _logged, _logged


def unreachable(published: Path) -> None:
    """While no Hub answers, both start from the cache and say so."""
    cached(published)
    said = "\n".join(_logged)
    assert "the Hub cannot be reached" in said, said
    assert "using the cached copy" in said, said


def last_good(published: Path) -> None:
    """The index names a release whose files cannot be fetched: what was loaded last starts."""
    compare(artificer.load(SLUG, index=REGISTRY), published)
    assert any("which was loaded last" in line for line in _logged), _logged


def refused(published: Path) -> None:
    """What the Hub refuses is an error, and no reason to start from the cache."""
    for repo in (REPO, "acme/missing"):
        assert repo in refusal(repo)
    assert REGISTRY in refusal(SLUG, index=REGISTRY)
    compare(artificer.load(published), published)


def refusal(source: str, index: str | None = None) -> str:
    """The text of the FetchError that `load` raises."""
    try:
        artificer.load(source, index=index)
    except artificer.FetchError as error:
        return str(error)
    raise AssertionError(f"{source} was loaded")


def cached(published: Path) -> None:
    """Load the repository and the name once more."""
    compare(artificer.load(REPO, variant="onnx"), published)
    compare(artificer.load(SLUG, index=REGISTRY), published)


def compare(model: artificer.Reranker, published: Path) -> None:
    """The scores of the manifest's samples are the reference's."""
    manifest = Manifest.from_json((published / "manifest.json").read_bytes())
    pairs = [(sample.inputs["query"], sample.inputs["passage"]) for sample in manifest.golden]
    expected = [sample.outputs["logits"][0] for sample in manifest.golden]
    with model:
        found = model.predict(pairs, activation_fn="identity")
        ranked = model.rank(pairs[0][0], [passage for _, passage in pairs])
    gap = max(abs(float(one) - other) for one, other in zip(found, expected, strict=True))
    assert gap <= TOLERANCE, f"{model.explain().variant}: logits differ by {gap:.2e}"
    assert {entry["corpus_id"] for entry in ranked} == set(range(len(pairs)))


STEPS: dict[str, Callable[[Path], None]] = {
    step.__name__: step for step in (folder, hub, offline, unreachable, last_good, refused)
}


class _Keep(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        _logged.append(record.getMessage())


if __name__ == "__main__":
    assert "site-packages" in artificer.__file__, artificer.__file__
    logging.getLogger("artificer").addHandler(_Keep(logging.WARNING))
    STEPS[sys.argv[1]](Path(sys.argv[2]))
