"""The self-test at load refuses what does not reproduce the golden samples."""

import math

import msgspec
import pytest

from artificer.errors import SelfTestError
from artificer.loading.loader import load
from artificer.manifest import ClassifierHead, GoldenSample
from tests.runtime.conftest import Copy, rewrite

replace = msgspec.structs.replace


def test_the_self_test_catches_wrong_logits(copied: Copy) -> None:
    """A reference that the graph does not reproduce: refused, unless the caller switches the test off."""
    folder = copied("openvino")
    manifest = rewrite(folder)
    wrong = tuple(
        replace(each, outputs={"logits": tuple(x + 0.01 for x in each.outputs["logits"])}) for each in manifest.golden
    )
    rewrite(folder, golden=wrong)
    with pytest.raises(SelfTestError, match=r"does not reproduce golden\[\d\]"):
        load(folder, variant="openvino")
    load(folder, variant="openvino", self_test=False).close()


def test_the_self_test_catches_a_doubled_activation(copied: Copy) -> None:
    """A graph that returns scores where logits are expected is off by far more than rounding."""
    folder = copied("onnx-O4")
    manifest = rewrite(folder)
    scores = tuple(
        replace(each, outputs={"logits": tuple(1 / (1 + math.exp(-x)) for x in each.outputs["logits"])})
        for each in manifest.golden
    )
    rewrite(folder, golden=scores)
    with pytest.raises(SelfTestError):
        load(folder, variant="onnx-O4")


def test_the_self_test_catches_a_missing_segment_id(copied: Copy) -> None:
    """A manifest whose inputs are not the graph's is refused before anything is scored wrongly."""
    folder = copied("onnx-O4")
    rewrite(folder, inputs=("input_ids", "attention_mask"))
    with pytest.raises(SelfTestError, match="disagree on the inputs"):
        load(folder, variant="onnx-O4")


def test_a_graph_with_other_labels_than_the_manifest_is_refused(copied: Copy) -> None:
    """Two labels promised, one logit returned."""
    folder = copied("onnx-O4")
    manifest = rewrite(folder)
    two = tuple(GoldenSample(inputs=g.inputs, outputs={"logits": (0.0, 1.0)}) for g in manifest.golden)
    head = ClassifierHead(labels=("no", "yes"), activation="sigmoid")
    rewrite(folder, golden=two, head=head, task="text-classification")
    with pytest.raises(SelfTestError, match="1 numbers per input"):
        load(folder, variant="onnx-O4")
