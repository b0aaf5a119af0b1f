"""Load the fastest proven variant of a cross-encoder, and score with it.

>>> import artificer
>>> reranker = artificer.load("dist/artificer/demo-reranker")  # doctest: +SKIP
>>> reranker.rank("how do plants eat?", ["At noon.", "Plants make food from light."])  # doctest: +SKIP
"""

from typing import TYPE_CHECKING, Any

from artificer import errors
from artificer.errors import (
    ArtificerError,
    ClosedError,
    DeadlineError,
    FetchError,
    InputError,
    IntegrityError,
    ManifestError,
    ManifestVersionError,
    MissingRuntimeError,
    ModelIndexError,
    OverloadedError,
    ScoreError,
    SelectionError,
    SelfTestError,
    SignatureError,
)

if TYPE_CHECKING:
    from artificer.hub.model_index import ModelIndex
    from artificer.inference.loaded_model import LoadedModel, TruncationWarning
    from artificer.loading.explain import Explanation
    from artificer.loading.loader import load
    from artificer.manifest import Manifest
    from artificer.selection.policy import Policy
    from artificer.selection.select import Choice
    from artificer.signing.signed_by import SignedBy
    from artificer.tasks.text_classification import Classifier
    from artificer.tasks.text_ranking import Reranker

__version__ = "0.2.0"
__all__ = [
    "ArtificerError",
    "Choice",
    "Classifier",
    "ClosedError",
    "DeadlineError",
    "Explanation",
    "FetchError",
    "InputError",
    "IntegrityError",
    "LoadedModel",
    "Manifest",
    "ManifestError",
    "ManifestVersionError",
    "MissingRuntimeError",
    "ModelIndex",
    "ModelIndexError",
    "OverloadedError",
    "Policy",
    "Reranker",
    "ScoreError",
    "SelectionError",
    "SelfTestError",
    "SignatureError",
    "SignedBy",
    "TruncationWarning",
    "errors",
    "load",
]

# Imported when first used, so that `import artificer.manifest` in the builder or a tool stays a matter of milliseconds.
_LAZY = {
    "Choice": "artificer.selection.select",
    "Explanation": "artificer.loading.explain",
    "Manifest": "artificer.manifest",
    "Policy": "artificer.selection.policy",
    "ModelIndex": "artificer.hub.model_index",
    "Classifier": "artificer.tasks.text_classification",
    "LoadedModel": "artificer.inference.loaded_model",
    "Reranker": "artificer.tasks.text_ranking",
    "SignedBy": "artificer.signing.signed_by",
    "TruncationWarning": "artificer.inference.loaded_model",
    "load": "artificer.loading.loader",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        from importlib import import_module

        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'artificer' has no attribute {name!r}")
