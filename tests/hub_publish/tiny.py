"""A project of a few kilobytes that `publish` takes for a built one, with ONNX variants that `load` can open."""

import random
import shutil
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import yaml
from onnx import TensorProto, helper
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

from artificer import host
from artificer.manifest import (
    MANIFEST_FILE,
    SCHEMA_VERSION,
    ClassifierHead,
    DatasetInfo,
    FileEntry,
    GoldenSample,
    Manifest,
    Parity,
    Quality,
    Reference,
    Source,
    TokenizerInfo,
    Variant,
    describe_file,
    tree_digest,
)
from stages.core.variants import row

REPOSITORY = Path(__file__).resolve().parents[2]
SLUG = "tiny"
REPO = "acme/tiny"
VARIANTS = ("onnx", "onnx-O3", "openvino")
PAIR = ("how do plants eat", "by light")
CARD = "---\nlicense: mit\n---\n\n# A card\n"


def make_project(
    root: Path, *, publish: Mapping[str, Any] | None = None, settings: Mapping[str, Any] | None = None
) -> Path:
    """A registry with one model that goes to acme/tiny on the Hub, without waits between retries."""
    shutil.copytree(REPOSITORY / "registry" / "locks", root / "registry" / "locks")
    shutil.copyfile(REPOSITORY / "registry" / "catalog.yaml", root / "registry" / "catalog.yaml")
    params = yaml.safe_load((REPOSITORY / "params.yaml").read_text(encoding="utf-8"))
    params["publish"] |= {"target": "hub", "index": None, **(settings or {})}
    params["hub"]["retry"] |= {"first_wait_seconds": 0, "max_wait_seconds": 0, "total_seconds": 30}
    write_yaml(root / "params.yaml", params)
    entry = {"source": {"path": "nowhere"}, "task": "text-ranking", "license": "mit"}
    entry["publish"] = {"repo": REPO, **(publish or {})}
    write_yaml(root / "registry" / "models.yaml", {"models": {SLUG: entry}})
    return root


def build(
    root: Path,
    *,
    slug: str = SLUG,
    repo: str = REPO,
    variants: Iterable[str] = VARIANTS,
    seeds: Mapping[str, int] | None = None,
    size: int = 4096,
    keep_source: bool = False,
    sidecars: bool = False,
) -> Manifest:
    """What `dvc repro pack` would leave in `root`; `seeds` changes the bytes of a variant or of the `source`.

    With `sidecars`, the weights of each ONNX graph lie in a file `<graph>_data` beside it.
    `keep_source` takes the source that `fetch` left there instead of making one.
    """
    seeds = seeds or {}
    models = root / "artifacts" / "models" / slug
    package = root / "artifacts" / "packages" / slug
    for folder in (package,) if keep_source else (models, package):
        shutil.rmtree(folder, ignore_errors=True)
    package.mkdir(parents=True)
    source = models / "source"
    if not keep_source:
        source.mkdir(parents=True)
        (source / "config.json").write_text(f'{{"seed": {seeds.get("source", 0)}}}\n')
        (source / "tokenizer.json").write_bytes(TOKENIZER.to_str().encode())
    published = models / "published" / "files"
    shutil.rmtree(published, ignore_errors=True)
    published.mkdir(parents=True)
    for name in ("config.json", "tokenizer.json"):
        shutil.copyfile(source / name, published / name)
    (package / "README.md").write_text(CARD + "\n".join(variants) + "\n", encoding="utf-8")
    made = tuple(_variant(models, name, seeds.get(name, 0), size, sidecars) for name in variants)
    parts = tuple(describe_file(source, name) for name in ("config.json", "tokenizer.json"))
    manifest = Manifest(
        schema_version=SCHEMA_VERSION,
        slug=slug,
        name=repo,
        task="text-ranking",
        architecture="BertForSequenceClassification",
        head=ClassifierHead(labels=("LABEL_0",), activation="sigmoid"),
        max_length=64,
        inputs=("attention_mask", "input_ids"),
        tokenizer=TokenizerInfo(
            file="tokenizer.json", pad_token="[PAD]", pad_token_id=0, pad_token_type_id=0, padding_side="right"
        ),
        files=parts,
        documents=(describe_file(package, "README.md"),),
        source=Source(kind="local", location="nowhere", revision="sha256:" + "0" * 64, license="mit", files=parts),
        reference=Reference(
            framework="torch", version="2", transformers_version="4", dtype="float32", attention="eager"
        ),
        evaluation=DatasetInfo(name="pairs", rows=1, sha256="0" * 64),
        calibration=DatasetInfo(name="pairs", rows=1, sha256="0" * 64),
        golden=(
            GoldenSample(
                inputs={"query": PAIR[0], "passage": PAIR[1]}, outputs={"logits": (logit(seeds.get("onnx", 0)),)}
            ),
        ),
        variants=made,
        benchmarks=(),
    )
    manifest.validate()
    (package / MANIFEST_FILE).write_bytes(manifest.to_json())
    return manifest


def contents(root: Path, manifest: Manifest) -> dict[str, bytes]:
    """The bytes of every file to publish, by its published path."""
    models = root / "artifacts" / "models" / manifest.slug
    package = root / "artifacts" / "packages" / manifest.slug
    found = {entry.path: (models / "published" / "files" / entry.path).read_bytes() for entry in manifest.files}
    found |= {entry.path: (package / entry.path).read_bytes() for entry in manifest.documents}
    for variant in manifest.variants:
        folder = models / "variants" / row(variant.id).step / variant.id
        found |= {entry.path: (folder / Path(entry.path).name).read_bytes() for entry in variant.files}
    return found | {MANIFEST_FILE: (package / MANIFEST_FILE).read_bytes()}


def write_yaml(path: Path, value: Any) -> None:
    """Replace the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(value, sort_keys=False), encoding="utf-8")


def _variant(models: Path, variant_id: str, seed: int, size: int, sidecars: bool) -> Variant:
    line = row(variant_id)
    folder = models / "variants" / line.step / variant_id
    folder.mkdir(parents=True)
    names = [line.file_name]
    if line.backend == "openvino":
        (folder / line.file_name).write_text(f"<net seed='{seed}'/>\n")
        names.append(line.file_name.replace(".xml", ".bin"))
    noise = random.Random(f"{variant_id} {seed}").randbytes(size)
    (folder / names[-1]).write_bytes(noise if line.backend == "openvino" else _graph(seed, noise))
    if sidecars and line.backend == "onnx":
        names.append(f"{line.file_name}_data")
        onnx.save_model(
            onnx.load(str(folder / names[0])),
            str(folder / names[0]),
            save_as_external_data=True,
            location=names[1],
            size_threshold=64,
        )
    prefix = line.file.rpartition("/")[0]
    files: tuple[FileEntry, ...] = tuple(
        FileEntry(path=f"{prefix}/{name}", size=entry.size, sha256=entry.sha256)
        for name in names
        for entry in (describe_file(folder, name),)
    )
    return Variant(
        id=variant_id,
        status="passed",
        reason=None,
        runtime=line.backend,
        rank=line.rank,
        precision_class=line.precision_class,
        minimum_runtime_version="1.0",
        opset=17,
        requires_isa=line.requires_isa,
        graph=line.file,
        files=files,
        size_bytes=sum(entry.size for entry in files),
        digest=tree_digest(files),
        recipe={},
        tools={},
        notes=(),
        parity=(_parity(),),
        quality=Quality(main_metric="ndcg_at_10", metrics={"ndcg_at_10": 1.0, "map": 1.0, "spearman": 1.0}, ratio=1.0),
    )


def logit(seed: int, pair: tuple[str, str] = PAIR) -> float:
    """What the ONNX variants of that seed return for a pair."""
    return float(np.float32(sum(TOKENIZER.encode(*pair).ids)) * _scale(seed))


def _scale(seed: int) -> np.float32:
    return np.float32(0.01 * (seed % 50 + 1))


def _graph(seed: int, noise: bytes) -> bytes:
    """The sum of the token ids, scaled; the noise makes it as large as wanted."""
    floats = np.concatenate([[_scale(seed)], np.frombuffer(noise, np.uint8)[: len(noise) // 4 - 4]]).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Mul", ["input_ids", "attention_mask"], ["kept"]),
            helper.make_node("ReduceSum", ["kept", "axis"], ["sum"], keepdims=1),
            helper.make_node("Cast", ["sum"], ["value"], to=TensorProto.FLOAT),
            helper.make_node("Gather", ["weights", "first"], ["scale"]),
            helper.make_node("Mul", ["value", "scale"], ["logits"]),
        ],
        "tiny",
        [helper.make_tensor_value_info(n, TensorProto.INT64, ["b", "s"]) for n in ("input_ids", "attention_mask")],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["b", 1])],
        [
            helper.make_tensor("axis", TensorProto.INT64, [1], [1]),
            helper.make_tensor("first", TensorProto.INT64, [], [0]),
            helper.make_tensor("weights", TensorProto.FLOAT, [len(floats)], floats.tobytes(), raw=True),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def _tokenizer() -> Tokenizer:
    words = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "how", "do", "plants", "eat", "by", "light")
    made = Tokenizer(WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    made.pre_tokenizer = Whitespace()
    made.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    return made


TOKENIZER = _tokenizer()


def _parity() -> Parity:
    return Parity(
        runtime_version=metadata.version("onnxruntime"),
        isa_class=host.detect().isa_class,
        execution_precision="f32",
        default_precision=True,
        metrics={"output_max_abs": 0.0, "score_max_abs": 0.0, "score_mean_abs": 0.0, "spearman": 1.0},
        thresholds={"score_max_abs": 1.0, "score_mean_abs": 1.0},
        verdict="passed",
        reasons=(),
    )
