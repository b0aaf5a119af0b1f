"""Build a published folder from a checkpoint in one go, for tests and benchmarks of the runtime.

    python tests/runtime/build_folder.py CHECKPOINT OUT [VARIANT ...]

It is not the builder, only its exporters: no thresholds, no evaluation, a handful of pairs. The reference logits are
torch's, though, and the manifest is complete, so that the runtime cannot tell the difference.
"""

import argparse
import hashlib
import json
import shutil
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any, get_args

import numpy as np

from artificer import host
from artificer.backends import open_session
from artificer.inference import activations, scoring
from artificer.inference.tokenization import TextTokenizer
from artificer.manifest import (
    MANIFEST_FILE,
    SCHEMA_VERSION,
    Benchmark,
    BenchmarkRow,
    BenchmarkSubject,
    ClassifierHead,
    DatasetInfo,
    FileEntry,
    GoldenSample,
    Manifest,
    Metrics,
    Parity,
    PrecisionClass,
    ProofSetEntry,
    Quality,
    Reference,
    Runtime,
    Source,
    TokenizerInfo,
    Variant,
    describe_file,
    tree_digest,
)
from artificer.manifest.metric_names import LENGTH_METRIC, PROCESS_METRIC
from artificer.proving.length_texts import lengths_to_ask, texts_of_lengths
from artificer.proving.measurement import LengthTexts
from artificer.proving.proof_set import PROOF_FILE, ProofSet, packed
from stages.building.torch_model import load_model
from stages.core.variants import row
from stages.toolchain.onnx.dynamic_int8 import quantise
from stages.toolchain.onnx.export import write_graph
from stages.toolchain.onnx.levels import write_level

QUERIES = {
    "why do leaves turn red in autumn": "Leaves lose their chlorophyll in autumn, and other pigments become visible.",
    "how deep is the deepest lake": "Lake Baikal reaches a depth of 1,642 metres, more than any other lake.",
    "who repairs stringed instruments": "A luthier builds and repairs violins, guitars and other stringed instruments.",
    "what keeps bread from going stale": "Bread stays soft for longer when it is kept in a closed box, away from cold.",
    "can cats see in the dark": "Cats need about a sixth of the light that people need; no animal sees in full dark.",
    "how is paper recycled": "Used paper is soaked, beaten to pulp, cleaned of ink, and pressed into new sheets.",
}
PAIRS = [(query, passage) for query in QUERIES for passage in QUERIES.values()] + [
    (query, " ".join([*QUERIES.values()] * 3)) for query in QUERIES
]

# id: runtime, precision class, graph's file, instruction sets, speed in the made-up benchmark.
VARIANTS: dict[str, tuple[Runtime, PrecisionClass, str, tuple[str, ...], float]] = {
    "onnx": ("onnx", "fp32", "onnx/model.onnx", (), 2.0),
    "onnx-O1": ("onnx", "fp32", "onnx/model_O1.onnx", (), 2.1),
    "onnx-O2": ("onnx", "fp32", "onnx/model_O2.onnx", (), 2.2),
    "onnx-O3": ("onnx", "gelu-approximation", "onnx/model_O3.onnx", (), 2.1),
    "onnx-O4": ("onnx", "half", "onnx/model_O4.onnx", (), 1.6),
    "onnx-qint8-arm64": ("onnx", "int8", "onnx/model_qint8_arm64.onnx", ("arm64",), 3.0),
    "onnx-qint8-avx512": ("onnx", "int8", "onnx/model_qint8_avx512.onnx", ("avx512",), 3.4),
    "onnx-qint8-avx512_vnni": ("onnx", "int8", "onnx/model_qint8_avx512_vnni.onnx", ("avx512_vnni",), 3.8),
    "onnx-quint8-avx2": ("onnx", "int8", "onnx/model_quint8_avx2.onnx", ("avx2",), 2.5),
    "openvino": ("openvino", "fp32", "openvino/openvino_model.xml", (), 2.3),
    "openvino-qint8": ("openvino", "int8", "openvino/openvino_model_qint8_quantized.xml", (), 5.5),
}
_ROOT_FILES = ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")


def build(checkpoint: Path, out: Path, ids: tuple[str, ...] = tuple(VARIANTS)) -> Manifest:
    """Export what `ids` names from `checkpoint` into `out`, and write its manifest. About 20 s for a tiny model."""
    with tempfile.TemporaryDirectory() as scratch:
        _export(checkpoint, Path(scratch), ids)
        for _, _, graph, isa, _ in (VARIANTS[variant] for variant in ids):
            if not set(isa) <= set(host.detect().isa):
                continue
            for path in _unit(Path(scratch), graph):
                (out / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(Path(scratch) / path, out / path)
    for name in _ROOT_FILES:
        if (checkpoint / name).exists():
            shutil.copyfile(checkpoint / name, out / name)
    (out / "README.md").write_text("# A fixture\n")
    manifest = _manifest(checkpoint, out, ids)
    (out / MANIFEST_FILE).write_bytes(manifest.to_json())
    return manifest


def _unit(root: Path, graph: str) -> list[str]:
    """A graph and its sidecars."""
    if graph.endswith(".xml"):
        return [graph, graph.removesuffix(".xml") + ".bin"]
    return [
        graph,
        *(p.relative_to(root).as_posix() for p in sorted((root / graph).parent.glob(f"{Path(graph).name}?*"))),
    ]


def _export(checkpoint: Path, out: Path, ids: tuple[str, ...]) -> None:
    from optimum.onnxruntime import AutoQuantizationConfig

    plain = out / "plain/model.onnx"
    for folder in (plain.parent, out / "onnx"):
        folder.mkdir(parents=True)
    write_graph(checkpoint, "AutoModelForSequenceClassification", plain)
    shutil.copyfile(plain, out / "onnx/model.onnx")
    for variant in ids:
        target = out / VARIANTS[variant][2]
        suffix = target.stem.removeprefix("model_")
        folder = out / suffix  # of its own: what lies beside a graph counts as the graph's
        folder.mkdir(exist_ok=True)
        if variant.startswith("onnx-O"):
            write_level(plain, folder / target.name, checkpoint, suffix, {})
        elif variant.startswith("onnx-q"):
            preset = getattr(AutoQuantizationConfig, suffix.partition("_")[2])
            config = preset(is_static=False) if "avx" in suffix else preset(is_static=False, per_channel=False)
            quantise(plain, config, {}, folder / target.name)
        else:
            continue
        shutil.move(folder / target.name, target)
    if any(variant.startswith("openvino") for variant in ids):
        _export_openvino(checkpoint, out, "openvino-qint8" in ids)


def _export_openvino(checkpoint: Path, out: Path, quantized: bool) -> None:
    import nncf
    import openvino as ov
    from optimum.exporters.openvino import export_from_model
    from optimum.intel.openvino import OVConfig

    model = load_model(checkpoint, "AutoModelForSequenceClassification")
    task = "text-classification"
    export_from_model(model, output=out / "openvino", task=task, ov_config=OVConfig(dtype="fp32"), stateful=False)
    if not quantized:
        return
    read = ov.Core().read_model(out / "openvino/openvino_model.xml")
    inputs = tuple(node.get_any_name() for node in read.inputs)
    tokenizer = TextTokenizer.from_file(
        checkpoint / "tokenizer.json", _tokenizer_info(checkpoint), max_length=_max_length(checkpoint), inputs=inputs
    )
    encoded = tokenizer.encode(PAIRS)
    rows = [tokenizer.batch(encoded, [i]) for i in range(len(encoded))]
    done = nncf.quantize(
        read, nncf.Dataset(rows), model_type=nncf.ModelType.TRANSFORMER, subset_size=len(rows),
        preset=nncf.QuantizationPreset.PERFORMANCE,
    )  # fmt: skip
    ov.save_model(done, out / "openvino/openvino_model_qint8_quantized.xml", compress_to_fp16=False)


def reference_logits(checkpoint: Path, pairs: list[tuple[str, str]]) -> np.ndarray[Any, Any]:
    """Torch, float32, eager, one pair at a time: `[pairs, labels]`."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    model = AutoModelForSequenceClassification.from_pretrained(
        checkpoint, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    rows = []
    with torch.inference_mode():
        for query, passage in pairs:
            features = tokenizer([query], [passage], truncation="longest_first", return_tensors="pt")
            rows.append(model(**features).logits[0].numpy())
    return np.array(rows)


def _max_length(checkpoint: Path) -> int:
    config = json.loads((checkpoint / "config.json").read_text())
    tokenizer = json.loads((checkpoint / "tokenizer_config.json").read_text())
    return int(min(config["max_position_embeddings"], tokenizer["model_max_length"]))


def _tokenizer_info(checkpoint: Path) -> TokenizerInfo:
    config = json.loads((checkpoint / "config.json").read_text())
    pad = json.loads((checkpoint / "tokenizer_config.json").read_text())["pad_token"]
    return TokenizerInfo(
        file="tokenizer.json",
        pad_token=pad if isinstance(pad, str) else pad["content"],
        pad_token_id=config["pad_token_id"],
        pad_token_type_id=0,
        padding_side="right",
    )


def _manifest(checkpoint: Path, out: Path, ids: tuple[str, ...]) -> Manifest:
    config = json.loads((checkpoint / "config.json").read_text())
    here = host.detect()
    reference = reference_logits(checkpoint, PAIRS)
    labels = tuple(config["id2label"].values())
    activation = config.get("sentence_transformers", {}).get("activation_fn", "Sigmoid").rpartition(".")[2].lower()
    session = open_session(VARIANTS[ids[0]][0], out / VARIANTS[ids[0]][2], threads=1)
    inputs = session.input_names
    session.close()
    info = _tokenizer_info(checkpoint)
    tokenizer = TextTokenizer.from_file(out / info.file, info, max_length=_max_length(checkpoint), inputs=inputs)
    variants = tuple(_variant(out, name, here, tokenizer, reference, activation) for name in ids)
    subjects = tuple(
        BenchmarkSubject(
            id=v.id, digest=v.digest, execution_precision="f32", load_seconds=1.0, peak_memory_bytes=200 << 20,
            size_bytes=v.size_bytes,
            rows=tuple(
                BenchmarkRow(
                    workload="fixture", batch_size=size, inputs_per_second=100 * VARIANTS[v.id][4],
                    p50_ms=10.0, p95_ms=11.0, p99_ms=12.0, speedup=VARIANTS[v.id][4],
                )
                for size in (1, 32)
            ),
        )
        for v in variants
        if v.status == "passed"
    )  # fmt: skip
    rows = DatasetInfo(name="fixture", rows=len(PAIRS), sha256=hashlib.sha256(repr(PAIRS).encode()).hexdigest())
    sources = tuple(describe_file(checkpoint, p.name) for p in sorted(checkpoint.iterdir()))
    return Manifest(
        schema_version=SCHEMA_VERSION,
        slug="fixture",
        name="fixture",
        task="text-ranking" if len(labels) == 1 else "text-classification",
        architecture=config["architectures"][0],
        head=ClassifierHead(
            labels=labels, activation=activation if activation in ("sigmoid", "identity", "softmax") else "sigmoid"
        ),
        max_length=tokenizer.max_length,
        inputs=inputs,
        tokenizer=info,
        files=tuple(describe_file(out, name) for name in _ROOT_FILES if (out / name).exists()),
        documents=(describe_file(out, "README.md"),),
        source=Source(
            kind="local", location="fixture", revision=f"sha256:{tree_digest(sources)}", license="apache-2.0",
            files=sources,
        ),
        reference=Reference(
            framework="torch", version=metadata.version("torch"), transformers_version=metadata.version("transformers"),
            dtype="float32", attention="eager",
        ),
        evaluation=rows,
        calibration=rows,
        golden=tuple(
            GoldenSample(
                inputs={"query": PAIRS[i][0], "passage": PAIRS[i][1]},
                outputs={"logits": tuple(float(x) for x in reference[i])},
            )
            for i in (0, 1, len(PAIRS) - 1)
        ),
        variants=variants,
        benchmarks=(Benchmark(host=here, preset="fixture", threads=here.cores, rounds=1, subjects=subjects),),
        proof=_proof_set(checkpoint, out, tokenizer, reference),
    )  # fmt: skip


def _proof_set(checkpoint: Path, out: Path, tokenizer: TextTokenizer, reference: np.ndarray[Any, Any]) -> ProofSetEntry:
    """All pairs, and texts of few lengths: OpenVINO compiles for each."""
    found = texts_of_lengths(tokenizer, PAIRS, lengths_to_ask(24, up_to=24, tokens=10**6))
    texts = [text for text, _ in found]
    lengths = LengthTexts(
        texts=tuple(texts),
        lengths=tuple(length for _, length in found),
        outputs=tuple(tuple(map(float, row)) for row in reference_logits(checkpoint, texts)),
    )
    proof = ProofSet(texts=tuple(PAIRS), outputs=tuple(tuple(map(float, row)) for row in reference), lengths=lengths)
    (out / PROOF_FILE).write_bytes(packed(proof))
    loose: Metrics = {"score_max_abs": 0.5, LENGTH_METRIC: 0.5, PROCESS_METRIC: 0.5, "quality_ratio": 0.98}
    limits: dict[PrecisionClass, Metrics] = dict.fromkeys(get_args(PrecisionClass), loose)  # fmt: skip
    return ProofSetEntry(
        file=describe_file(out, PROOF_FILE), pairs=len(PAIRS), lengths=len(texts), batch_size=8, top_k=3,
        thresholds=limits,
    )  # fmt: skip


def _variant(
    out: Path, name: str, here: Any, tokenizer: TextTokenizer, reference: np.ndarray[Any, Any], activation: Any
) -> Variant:
    runtime, precision, graph, isa, _ = VARIANTS[name]
    missing = [each for each in isa if each not in here.isa]
    files: tuple[FileEntry, ...] = () if missing else tuple(describe_file(out, path) for path in _unit(out, graph))
    package = {"onnx": "onnxruntime", "openvino": "openvino"}[runtime]
    parity: tuple[Parity, ...] = ()
    if not missing:
        parity = tuple(_parity(out / graph, runtime, default, here, tokenizer, reference, activation)
                       for default in ((False, True) if runtime == "openvino" else (True,)))  # fmt: skip
    return Variant(
        id=name,
        status="unsupported" if missing else "passed",
        reason=f"this machine has no {', '.join(missing)}" if missing else None,
        runtime=runtime,
        rank=row(name).rank,
        precision_class=precision,
        minimum_runtime_version="1.20.0" if runtime == "onnx" else "2025.0.0",
        opset=18 if runtime == "onnx" else None,
        requires_isa=isa,
        graph=None if missing else graph,
        files=files,
        size_bytes=sum(entry.size for entry in files),
        digest=tree_digest(files) if files else None,
        recipe={},
        tools={package: metadata.version(package)},
        notes=(),
        parity=parity,
        quality=None if missing else Quality(main_metric="spearman", metrics={"spearman": 1.0}, ratio=1.0),
    )


def _parity(
    graph: Path, runtime: Any, default: bool, here: Any, tokenizer: TextTokenizer, reference: np.ndarray[Any, Any],
    activation: Any,
) -> Parity:  # fmt: skip
    session = open_session(runtime, graph, threads=here.cores, execution_precision=None if default else "f32")
    logits = scoring.score_texts(session, tokenizer, PAIRS)
    scores, expected = activations.activate(logits, activation), activations.activate(reference, activation)
    precision = session.execution_precision
    session.close()
    return Parity(
        runtime_version=metadata.version({"onnx": "onnxruntime", "openvino": "openvino"}[runtime]),
        isa_class=here.isa_class,
        execution_precision=precision,
        default_precision=default,
        metrics={
            "output_max_abs": float(np.abs(logits - reference).max()),
            "output_mean_abs": float(np.abs(logits - reference).mean()),
            "score_max_abs": float(np.abs(scores - expected).max()),
            "score_mean_abs": float(np.abs(scores - expected).mean()),
        },
        thresholds={"quality_ratio": 0.98},
        verdict="passed",
        reasons=(),
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("variants", nargs="*", choices=[*VARIANTS, []])
    given = parser.parse_args()
    build(given.checkpoint, given.out, tuple(given.variants) or tuple(VARIANTS))
