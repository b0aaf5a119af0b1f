"""Variants that are built at the same time: the same bytes, and a failure of one is not another's."""

import os
import threading
from pathlib import Path
from typing import Any, get_args

import pytest

from stages import pipeline
from stages.building.build_step import Built, build_step
from stages.core.child_process import ChildKilledError
from stages.core.errors import RegistryError
from stages.core.variants import Step, VariantRow
from stages.running import preflight
from tests.stages import project
from tests.stages.project import SLUG, snapshot
from tests.stages.test_builds import MODEL, record

pytestmark = pytest.mark.toolchain


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system cannot keep a process on one core")
def test_what_is_built_beside_a_variant_changes_no_byte_of_it(copy: Path, proven: Path) -> None:
    """On one core variants are built one after the other, in the stage's own process. Folders of stages that an earlier
    version had are removed."""
    if preflight.at_once(SLUG, pipeline.stage("optimize")) == 1:
        pytest.skip("this machine has one core, or memory for one variant at a time")
    (copy / MODEL / "variants/export_onnx/onnx").mkdir(parents=True)
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        project.run(copy, "export", "optimize", "quantize_onnx")
    finally:
        os.sched_setaffinity(0, cores)
    for folder in (MODEL / "variants" / step for step in ("export", "optimize", "quantize_onnx")):
        assert snapshot(copy / folder) == snapshot(proven / folder)
    assert {path.name for path in (copy / MODEL / "variants").iterdir()} == set(get_args(Step))


def test_variants_are_built_at_the_same_time_and_a_killed_one_again_alone(copy: Path) -> None:
    """A kill may be the fault of what was built beside it; any other failure is the variant's own."""
    started, both = list[str](), threading.Barrier(2, timeout=30)

    def make(row: VariantRow, folder: Path, _: dict[str, Any]) -> Built:
        started.append(row.id)
        if row.id in ("onnx-O1", "onnx-O2") and started.count(row.id) == 1:
            both.wait()  # ends only where two are built at once
        (folder / row.file_name).write_bytes(b"graph")
        if row.id == "onnx-O4" or (row.id == "onnx-O2" and started.count(row.id) == 1):
            raise ChildKilledError("its process was killed (signal 9)")
        if row.id == "onnx-O3":
            raise NotImplementedError("no gelu here")
        return Built(recipe={}, inputs=("input_ids",))

    build_step(SLUG, "optimize", {"onnx": ["onnx"]}, make, at_once=2)
    assert sorted(started) == ["onnx-O1", "onnx-O2", "onnx-O2", "onnx-O3", "onnx-O4", "onnx-O4"]
    outcomes = {v: record(copy, "optimize", v)["status"] for v in ("onnx-O1", "onnx-O2", "onnx-O3", "onnx-O4")}
    assert list(outcomes.values()) == ["built", "built", "unsupported", "failed"]
    assert (copy / MODEL / "variants/optimize/onnx-O2/model_O2.onnx").read_bytes() == b"graph"


def test_an_error_of_the_user_stops_a_step_that_builds_variants_at_the_same_time(copy: Path) -> None:
    """It is reported, and nothing is half-written."""
    before = snapshot(copy / MODEL / "variants")

    def make(row: VariantRow, *_: Any) -> Built:
        raise RegistryError(f"recipes.{row.id}: unknown field")

    with pytest.raises(RegistryError, match=r"recipes\.onnx-O1"):
        build_step(SLUG, "optimize", {"onnx": ["onnx"]}, make, at_once=2)
    assert snapshot(copy / MODEL / "variants") == before
