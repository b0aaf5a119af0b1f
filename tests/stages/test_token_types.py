"""Token types in the reference: dropped where the model takes none, and one message where it cannot take them."""

from pathlib import Path

import pytest

from tests.stages import project
from tests.stages.checkpoints import edit_config, tiny_bert, tiny_without_segments, words
from tests.stages.conftest import Stages

pytestmark = pytest.mark.toolchain
FOLDER = Path("checkpoints", project.SLUG)


def run(stages: Stages, *names: str) -> tuple[int, str]:
    """Add the checkpoint and run stages; the exit code of the last, and what it wrote to stderr."""
    assert stages("add", FOLDER.as_posix(), "--slug", project.SLUG, "--license", "mit")[0] == 0
    for name in names[:-1]:
        assert stages(name, project.SLUG)[0] == 0
    code, _, err = stages(names[-1], project.SLUG)
    return code, err


@pytest.mark.parametrize("kind", ["DistilBert", "MPNet"])
def test_a_model_without_segments_is_not_given_types(root: Path, stages: Stages, kind: str) -> None:
    """sentence-transformers drops them too; the graph has no such input, so the runtime makes none."""
    tiny_without_segments(root / FOLDER, kind)
    assert run(stages, "fetch", "data", "reference", "export") == (0, "")
    variants = root / "artifacts" / "models" / project.SLUG / "variants"
    record = project.read_json(variants / "export" / "onnx" / "variant.json")
    assert (record["status"], record["inputs"]) == ("built", ["input_ids", "attention_mask"])


def test_what_torch_cannot_run_is_one_message(root: Path, stages: Stages) -> None:
    """`add` cannot see everything: here a token that only tokenizer_config.json adds has no embedding."""
    tiny_bert(root / FOLDER)
    token = {"content": "the", "special": False, "lstrip": False, "rstrip": False, "single_word": False}
    added = {str(len(words())): token | {"normalized": False}}
    edit_config(root / FOLDER, "tokenizer_config.json", added_tokens_decoder=added)
    code, err = run(stages, "fetch", "data", "reference")
    assert (code, err) == (4, "error: torch cannot run the checkpoint: IndexError: index out of range in self\n")
