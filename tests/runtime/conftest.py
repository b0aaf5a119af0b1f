"""A published folder, built once and kept in pytest's cache; and what the tests make of it."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec
import pytest

from artificer import host
from artificer.loading.loader import load
from artificer.manifest import MANIFEST_FILE, Host, Manifest, Variant
from artificer.tasks.text_ranking import Reranker
from tests.sharing import locked

ROOT = Path(__file__).resolve().parents[2]
CHECKPOINT = ROOT / "registry/demo/reranker"
BUILDER = Path(__file__).with_name("build_folder.py")


@pytest.fixture(scope="session")
def published(request: pytest.FixtureRequest) -> Path:
    """The demo reranker with all variants. Read only: tests that change files take `copied`."""
    folders = ("src/artificer/manifest", "stages/toolchain/onnx")
    sources = [BUILDER, *(path for folder in folders for path in sorted((ROOT / folder).glob("*.py")))]
    key = hashlib.sha256(b"".join(path.read_bytes() for path in sources))
    key.update((CHECKPOINT / "model.safetensors").read_bytes() + host.detect().name.encode())
    for package in ("onnxruntime", "openvino", "optimum-onnx", "optimum-intel", "nncf", "torch"):
        key.update(metadata.version(package).encode())
    folder = Path(request.config.cache.mkdir("artificer")) / key.hexdigest()[:16]
    scratch = folder.with_suffix(".partial")
    with locked(folder.with_suffix(".lock")):
        if (folder / MANIFEST_FILE).exists():
            return folder
        shutil.rmtree(scratch, ignore_errors=True)
        environment = {
            **os.environ,
            "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}",
            "TOKENIZERS_PARALLELISM": "false",
        }
        command = [sys.executable, str(BUILDER), str(CHECKPOINT), str(scratch)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-4000:]
        scratch.rename(folder)
    return folder


@pytest.fixture(scope="session")
def manifest(published: Path) -> Manifest:
    """The manifest of `published`."""
    return Manifest.from_json((published / MANIFEST_FILE).read_bytes())


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep verification_cache and timings of a test apart from the machine's and from other tests'."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("ARTIFICER_CACHE", str(folder))
    monkeypatch.delenv("ARTIFICER_THREADS", raising=False)
    return folder


Copy = Callable[..., Path]


@pytest.fixture
def copied(published: Path, manifest: Manifest, tmp_path: Path) -> Copy:
    """Make a folder of one's own that holds only the named variants."""

    def copy(*ids: str) -> Path:
        kept = tuple(variant for variant in manifest.variants if variant.id in ids)
        small = msgspec.structs.replace(manifest, variants=kept)
        folder = tmp_path / "published"
        for entry in small.published_files():
            (folder / entry.path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(published / entry.path, folder / entry.path)
        (folder / MANIFEST_FILE).write_bytes(small.to_json())
        return folder

    return copy


def rewrite(folder: Path, **changes: Any) -> Manifest:
    """Change the manifest in a folder of one's own."""
    made = msgspec.structs.replace(Manifest.from_json((folder / MANIFEST_FILE).read_bytes()), **changes)
    (folder / MANIFEST_FILE).write_bytes(made.to_json())
    return made


@pytest.fixture(scope="session")
def reranker(published: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reranker]:
    """The plain fp32 ONNX variant, loaded once."""
    with load(published, variant="onnx", cache=tmp_path_factory.mktemp("shared-cache")) as loaded:
        yield loaded


@pytest.fixture(scope="module")
def here() -> Host:
    """A two-core AVX-512 VNNI machine with both runtimes, whatever machine runs the tests."""
    return Host(
        name="amd-epyc-avx512_vnni-2c", architecture="x86_64", cpu_model="AMD EPYC",
        isa=("avx2", "avx512", "avx512_bf16", "avx512_vnni", "x86-64"), isa_class="avx512_vnni", cores=2,
        accelerators=(), runtimes={"onnxruntime": "1.32.0", "openvino": "2026.4.1"},
    )  # fmt: skip


@pytest.fixture(scope="module")
def proven(manifest: Manifest, here: Host) -> Manifest:
    """The fixture as if it had been built on `here`, with all that `here` can run."""

    def on_here(variant: Variant) -> Variant:
        return msgspec.structs.replace(
            variant, parity=tuple(msgspec.structs.replace(record, isa_class="avx512_vnni") for record in variant.parity)
        )

    benchmarks = tuple(msgspec.structs.replace(each, host=here) for each in manifest.benchmarks)
    return msgspec.structs.replace(
        manifest, variants=tuple(on_here(each) for each in manifest.variants), benchmarks=benchmarks
    )
