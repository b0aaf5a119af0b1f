"""Settings that must be set before the toolchain is imported: no telemetry, no unrequested downloads, fewer garbage
collections."""

import gc
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

OFFLINE = {
    "DO_NOT_TRACK": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "NNCF_CI": "1",  # nncf's own switch for "send no telemetry"
    "ORT_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_VERBOSITY": "error",
}
TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
OBJECTS_BETWEEN_COLLECTIONS = 100_000
"""Python's default is 700 to 2000. The exporters create millions of objects that are kept, so collecting less often
makes an export a tenth faster (benchmarks/results/building.md)."""


def prepare(*, online: bool) -> None:
    """Call before any toolchain import. `online` is for stages and commands whose row says that they ask the Hub."""
    for key, value in OFFLINE.items():
        if not (online and key.endswith("_OFFLINE")):
            os.environ[key] = value
    if not online:  # what runs a toolchain on a model's files has no use for a token
        for key in TOKENS:
            os.environ.pop(key, None)
        os.environ["HF_HUB_DISABLE_IMPLICIT_TOKEN"] = "1"
        os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"  # transformers draws one whenever it loads weights
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS)
    # OpenVINO falls back to a stub when its telemetry package cannot be imported.
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    if not os.environ.get("ARTIFICER_VERBOSE"):
        warnings.filterwarnings("ignore")  # the exporters trace Python branches, and say so hundreds of times


@contextmanager
def hidden(*names: str) -> Iterator[None]:
    """Let imports in the block believe that these optional packages are not installed, unless they are imported
    already: transformers imports scikit-learn for one function of text generation, which takes a second."""
    new = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(new))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in new:
            del sys.modules[name]
