"""Packed models with made-up figures, and the site of them."""

import contextlib
import os
import shutil
from pathlib import Path
from unittest import mock

from artificer.manifest import MANIFEST_FILE, Manifest
from stages.core import paths
from stages.core.params import PublishParams
from stages.core.variants import DEFAULT_VARIANT_IDS
from stages.site.generate import generate
from tests.stages import project
from tests.stages.checkpoints import STORED
from tests.stages.fabricated import Fabricated, add_host, tighten

HERE, THERE = "amd-test-avx2-2c", "intel-test-avx2-8c"
FIRST, SECOND = "first-reranker", "second-reranker"
# Of the first model, `openvino-qint8` passes in f32 and fails in bf16, which is the default of the runtime.
MODELS = {
    FIRST: Fabricated(
        statuses={"onnx-O2": ("failed", "RuntimeError: no such fusion"), "onnx-O4": ("unsupported", "no fp16 here")},
        figures={"onnx-qint8-avx512": {"score_max_abs": 0.5, "spearman": 0.9}},
        ratios={"openvino-qint8": 0.995, "onnx-quint8-avx2": 0.99},
        default_bf16=("openvino", "openvino-qint8"),
        speedups={"openvino-qint8": 5.25},
    ),
    SECOND: Fabricated(ratios={"onnx-quint8-avx2": 0.98}, speedups={"onnx-quint8-avx2": 4.5}),
}


PUBLISH = PublishParams(target="folder", folder="dist", namespace="artificer", read_back="uploaded", index=None)


def packed(root: Path) -> list[Manifest]:
    """Both models, packed by the stage itself; the first was also timed on another host."""
    from stages.cli import main

    project.make_registry(root)
    with contextlib.chdir(root), mock.patch.dict(os.environ):
        tighten(root, "int8", score_max_abs=0.002)
        for slug, made in MODELS.items():
            made.write(root, STORED, slug)
            if slug == FIRST:
                built = tuple(name for name in DEFAULT_VARIANT_IDS if name not in made.statuses)
                add_host(slug, THERE, built, 6.0)
            assert main(["pack", slug]) == 0
        return [Manifest.from_json((paths.package(slug) / MANIFEST_FILE).read_bytes()) for slug in MODELS]


def site(root: Path, manifests: list[Manifest], publish: PublishParams = PUBLISH) -> Path:
    """Their site, in a folder of a longer path, as a project's pages are."""
    folder = root / "pages" / "some" / "project"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    generate(manifests, folder, publish)
    return folder
