"""A backend and a task that this package does not have work without editing a module of it."""

import hashlib
from pathlib import Path

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, pre_tokenizers

import artificer
from artificer import host
from artificer.backends import BACKENDS
from artificer.backends.packages import Package
from artificer.errors import IntegrityError, ManifestError, SelectionError, SelfTestError
from artificer.loading.location import read_manifest
from artificer.manifest import (
    MANIFEST_FILE,
    SCHEMA_VERSION,
    DatasetInfo,
    EmbeddingHead,
    GoldenSample,
    Manifest,
    Parity,
    Rank,
    Reference,
    Source,
    TokenizerInfo,
    Variant,
    describe_file,
    tree_digest,
)
from artificer.tasks import TASKS
from tests.runtime.bag_backend import BagBackend, BagSession
from tests.runtime.conftest import rewrite
from tests.runtime.text_embedding import Embedder, TextEmbedding

WORDS = ["[PAD]", "[UNK]", *["how", "deep", "is", "the", "lake", "do", "leaves", "turn", "red", "in", "autumn"]]
TEXTS = ("how deep is the lake", "do leaves turn red in autumn", "the lake")
TABLE = np.random.default_rng(0).normal(size=(len(WORDS), 4)).astype(np.float32)
replace = msgspec.structs.replace


def expected(text: str) -> NDArray[np.float32]:
    """The mean of the words' rows."""
    found: NDArray[np.float32] = TABLE[[WORDS.index(word) for word in text.split()]].mean(axis=0)
    return found


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The backend and the task, in the tables."""
    monkeypatch.setitem(BACKENDS, "bag", BagBackend())
    monkeypatch.setitem(TASKS, "text-embedding", TextEmbedding())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A published folder with one variant."""
    root = tmp_path / "published"
    (root / "bag").mkdir(parents=True)
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(root / "tokenizer.json"))
    (root / "bag/model.txt").write_text("vectors\n")
    np.savez(root / "bag/model.npz", vectors=TABLE)
    (root / MANIFEST_FILE).write_bytes(manifest_of(root).to_json())
    return root


def manifest_of(root: Path) -> Manifest:
    """A manifest for the files in `root`."""
    digest = hashlib.sha256(b"").hexdigest()
    rows = DatasetInfo(name="none", rows=0, sha256=digest)
    files = tuple(describe_file(root, f"bag/model.{suffix}") for suffix in ("npz", "txt"))
    parity = Parity(
        runtime_version=np.__version__, isa_class=host.detect().isa_class, execution_precision="f32",
        default_precision=True, metrics={"output_max_abs": 1e-7, "cosine_min": 1.0}, thresholds={}, verdict="passed",
        reasons=(),
    )  # fmt: skip
    variant = Variant(
        id="bag", status="passed", reason=None, runtime="bag", rank=Rank(cpu=1, intel=1, cuda=1),
        precision_class="fp32", minimum_runtime_version="1.0", opset=None, requires_isa=(), graph="bag/model.txt",
        files=files, size_bytes=sum(entry.size for entry in files), digest=tree_digest(files), recipe={}, tools={},
        notes=(), parity=(parity,), quality=None,
    )  # fmt: skip
    return Manifest(
        schema_version=SCHEMA_VERSION, slug="bag", name="bag", task="text-embedding", architecture="Bag",
        head=EmbeddingHead(dimensions=4), max_length=16, inputs=BagSession.input_names,
        tokenizer=TokenizerInfo(
            file="tokenizer.json", pad_token="[PAD]", pad_token_id=0, pad_token_type_id=0, padding_side="right"
        ),
        files=(describe_file(root, "tokenizer.json"),), documents=(),
        source=Source(kind="local", location="bag", revision=f"sha256:{digest}", license="mit", files=()),
        reference=Reference(
            framework="torch", version="0", transformers_version="0", dtype="float32", attention="eager"
        ),
        evaluation=rows, calibration=rows,
        golden=tuple(
            GoldenSample(inputs={"text": text}, outputs={"vectors": tuple(map(float, expected(text)))})
            for text in TEXTS
        ),
        variants=(variant,), benchmarks=(),
    )  # fmt: skip


@pytest.mark.usefixtures("registered")
def test_a_model_of_the_new_task_is_loaded_on_the_new_backend(folder: Path) -> None:
    """Verified, selected, self-tested, and used; batches of texts of several lengths are pooled without padding."""
    with artificer.load(folder, warm=True) as model:
        assert isinstance(model, Embedder)
        found = model.embed(TEXTS)
        wanted = np.array([expected(text) for text in TEXTS])
        np.testing.assert_allclose(found, wanted / np.linalg.norm(wanted, axis=1, keepdims=True), rtol=1e-5)
        explained = model.explain()
    assert explained.self_test is not None
    assert explained.self_test < 1e-6
    assert explained.runtime_version == np.__version__
    assert "outputs within 1e-07 of torch" in explained.parity
    assert "vectors of 4 numbers" in str(explained)


@pytest.mark.usefixtures("registered")
def test_the_self_test_and_the_sidecars_hold_for_both(folder: Path) -> None:
    """A golden sample that is not reproduced, and a table that the manifest does not list, are refused."""
    manifest, _ = read_manifest(folder)
    wrong = tuple(replace(each, outputs={"vectors": (9.0,) * 4}) for each in manifest.golden)
    rewrite(folder, golden=wrong)
    with pytest.raises(SelfTestError, match=r"does not reproduce golden\[\d\]: vectors"):
        artificer.load(folder)
    (variant,) = manifest.variants
    alone = tuple(entry for entry in variant.files if entry.path == variant.graph)
    alone_variant = replace(variant, files=alone, digest=tree_digest(alone))
    rewrite(folder, golden=manifest.golden, variants=(alone_variant,))
    with pytest.raises(IntegrityError, match=r"model\.npz"):
        artificer.load(folder)


@pytest.mark.usefixtures("registered")
def test_a_new_backend_is_among_the_hosts_runtimes_and_the_arguments(folder: Path) -> None:
    """Its package is looked up with the others, and it can be asked for by name."""
    assert host.detect().runtimes["numpy"] == np.__version__
    artificer.load(folder, runtime="bag").close()
    with pytest.raises(SelectionError, match="bag: it runs on bag, and onnx was requested"):
        artificer.load(folder, runtime="onnx")
    with pytest.raises(SelectionError, match="bags run on the CPU"):
        artificer.load(folder, device="cuda")


def test_a_missing_package_is_named_with_its_remedy(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is the backend's own."""
    monkeypatch.setitem(TASKS, "text-embedding", TextEmbedding())
    absent = BagBackend()
    absent.packages = {"cpu": Package("bags", "bags", "bag")}
    monkeypatch.setitem(BACKENDS, "bag", absent)
    with pytest.raises(SelectionError, match=r"bags is not installed: pip install 'artificer\[bag\]'"):
        artificer.load(folder)


def test_an_unknown_backend_is_no_error_and_an_unknown_task_is_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Variants of other backends are rejected with the reason; a model of another task cannot be used at all."""
    with pytest.raises(ManifestError, match="this release has no 'text-embedding'"):
        artificer.load(folder)
    monkeypatch.setitem(TASKS, "text-embedding", TextEmbedding())
    with pytest.raises(SelectionError, match="bag: this release has no backend 'bag'"):
        artificer.load(folder)
