"""What a service could pick to score a query's passages: each a function that returns a scorer.

A scorer takes a query and its passages, and returns one score each, in their order. Libraries that load models by name
from the network are given the local files by their own means.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from artificer import Manifest

Scorer = Callable[[str, list[str]], Any]
MAX_TOKENS = 512
FLASHRANK_NAME = "ms-marco-MiniLM-L-12-v2"  # a name it knows, for a folder of ours


@dataclass(frozen=True)
class Given:
    """What every side gets."""

    package: Path
    """A published folder."""
    checkpoint: Path
    """The checkpoint that it was made from."""
    threads: int
    scratch: Path
    """An empty folder, for files that a library wants elsewhere."""

    def graph(self, variant: str) -> str:
        """The graph of a variant, below the published folder."""
        graph = Manifest.from_json((self.package / "manifest.json").read_bytes()).variant(variant).graph
        assert graph is not None
        return graph


def ours(given: Given, **options: Any) -> Scorer:
    """`artificer.load` with these options."""
    import artificer

    model = artificer.load(given.package, threads=given.threads, warm=True, **options)
    print(f"artificer.load({options}) selected {model.explain().variant}", flush=True)
    return lambda query, passages: model.predict([(query, passage) for passage in passages])


def cross_encoder(given: Given, *, compiled: bool = False, dtype: str | None = None) -> Scorer:
    """sentence-transformers on the checkpoint, with torch."""
    import torch
    from sentence_transformers import CrossEncoder

    torch.set_num_threads(given.threads)
    options = {} if dtype is None else {"dtype": getattr(torch, dtype)}
    model = CrossEncoder(str(given.checkpoint), device="cpu", model_kwargs=options, max_length=MAX_TOKENS)
    if compiled:
        model.model.compile(dynamic=True)
    return lambda query, passages: model.predict([(query, passage) for passage in passages], show_progress_bar=False)


def cross_encoder_openvino(given: Given, variant: str, **properties: Any) -> Scorer:
    """sentence-transformers on a graph of the published folder, with OpenVINO."""
    from sentence_transformers import CrossEncoder

    options = {
        "file_name": given.graph(variant),
        "ov_config": {"INFERENCE_NUM_THREADS": given.threads, **properties},
    }
    model = CrossEncoder(str(given.package), backend="openvino", model_kwargs=options, max_length=MAX_TOKENS)
    return lambda query, passages: model.predict([(query, passage) for passage in passages], show_progress_bar=False)


def fastembed(given: Given, variant: str) -> Scorer:
    """fastembed's TextCrossEncoder on a graph of the published folder."""
    from fastembed.common.model_description import ModelSource
    from fastembed.rerank.cross_encoder import TextCrossEncoder

    name = "local/reranker"
    shutil.copytree(given.package, given.scratch / "model")
    _with_length(given.scratch / "model" / "tokenizer_config.json")
    TextCrossEncoder.add_custom_model(model=name, model_file=given.graph(variant), sources=ModelSource(hf=name))
    model = TextCrossEncoder(
        name,
        cache_dir=str(given.scratch),
        threads=given.threads,
        specific_model_path=str(given.scratch / "model"),
        local_files_only=True,
    )
    return lambda query, passages: list(model.rerank(query, passages))


def flashrank(given: Given, variant: str) -> Scorer:
    """FlashRank on a graph of the published folder; it takes as many threads as there are cores."""
    from flashrank import Ranker, RerankRequest
    from flashrank.Config import model_file_map

    target = given.scratch / FLASHRANK_NAME
    target.mkdir()
    for file in ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"):
        for folder in (given.package, given.checkpoint):
            if (folder / file).exists():
                shutil.copyfile(folder / file, target / file)
                break
    shutil.copyfile(given.package / given.graph(variant), target / model_file_map[FLASHRANK_NAME])
    _with_length(target / "tokenizer_config.json")
    ranker = Ranker(model_name=FLASHRANK_NAME, cache_dir=str(given.scratch), max_length=MAX_TOKENS)

    def score(query: str, passages: list[str]) -> Any:
        asked = [{"id": i, "text": text} for i, text in enumerate(passages)]
        rows = ranker.rerank(RerankRequest(query=query, passages=asked))
        return [row["score"] for row in sorted(rows, key=lambda row: row["id"])]

    return score


def _with_length(config: Path) -> None:
    """Both libraries read the length that they cut at from tokenizer_config.json."""
    lengths = {"model_max_length": MAX_TOKENS, "max_length": MAX_TOKENS}
    config.write_text(json.dumps(json.loads(config.read_text()) | lengths))


def openvino_genai(given: Given, variant: str, **properties: Any) -> Scorer:
    """OpenVINO GenAI's TextRerankPipeline on a graph of the published folder."""
    import openvino
    import openvino_genai as genai
    from openvino_tokenizers import convert_tokenizer
    from transformers import AutoTokenizer

    graph = given.package / given.graph(variant)
    for suffix in (".xml", ".bin"):
        shutil.copyfile(graph.with_suffix(suffix), given.scratch / f"openvino_model{suffix}")
    shutil.copyfile(given.package / "config.json", given.scratch / "config.json")
    tokenizer = AutoTokenizer.from_pretrained(given.package)
    openvino.save_model(convert_tokenizer(tokenizer, number_of_inputs=2), str(given.scratch / "openvino_tokenizer.xml"))
    config = genai.TextRerankPipeline.Config()
    config.top_n, config.max_length = 10_000, MAX_TOKENS
    properties |= {"INFERENCE_NUM_THREADS": given.threads}
    pipeline = genai.TextRerankPipeline(str(given.scratch), "CPU", config, **properties)
    return lambda query, passages: [score for _, score in sorted(pipeline.rerank(query, passages))]


def infinity(given: Given, dtype: str) -> Scorer:
    """infinity's engine with torch, in this process."""
    import torch
    from infinity_emb import EngineArgs, SyncEngineArray

    torch.set_num_threads(given.threads)
    name = str(given.checkpoint)
    arguments = EngineArgs(
        model_name_or_path=name, engine="torch", device="cpu", dtype=dtype, bettertransformer=False, batch_size=32
    )
    engines = SyncEngineArray.from_args([arguments])

    def score(query: str, passages: list[str]) -> Any:
        ranked, _ = engines.rerank(model=name, query=query, docs=passages).result()
        return [row.relevance_score for row in sorted(ranked, key=lambda row: row.index)]

    return score


SIDES: dict[str, Callable[[Given], Scorer]] = {
    "artificer": ours,
    "artificer, objective=latency": lambda given: ours(given, objective="latency"),
    "artificer, accuracy=any": lambda given: ours(given, accuracy="any"),
    "artificer, accuracy=exact": lambda given: ours(given, accuracy="exact"),
    "CrossEncoder": cross_encoder,
    "CrossEncoder, torch bf16": lambda given: cross_encoder(given, dtype="bfloat16"),
    "CrossEncoder, torch bf16 compiled": lambda given: cross_encoder(given, dtype="bfloat16", compiled=True),
    "CrossEncoder, openvino": lambda given: cross_encoder_openvino(given, "openvino"),
    "CrossEncoder, openvino-qint8": lambda given: cross_encoder_openvino(given, "openvino-qint8"),
    "CrossEncoder, openvino-qint8 f32": lambda given: cross_encoder_openvino(
        given, "openvino-qint8", INFERENCE_PRECISION_HINT="f32"
    ),
    "fastembed, onnx": lambda given: fastembed(given, "onnx"),
    "fastembed, onnx-qint8-static": lambda given: fastembed(given, "onnx-qint8-static"),
    "fastembed, onnx-qint8-avx512_vnni": lambda given: fastembed(given, "onnx-qint8-avx512_vnni"),
    "FlashRank, onnx": lambda given: flashrank(given, "onnx"),
    "FlashRank, onnx-qint8-static": lambda given: flashrank(given, "onnx-qint8-static"),
    "OpenVINO GenAI, openvino": lambda given: openvino_genai(given, "openvino"),
    "OpenVINO GenAI, openvino-qint8": lambda given: openvino_genai(given, "openvino-qint8"),
    "OpenVINO GenAI, openvino-qint8 f32": lambda given: openvino_genai(
        given, "openvino-qint8", INFERENCE_PRECISION_HINT="f32"
    ),
    "infinity, torch fp32": lambda given: infinity(given, "float32"),
    "infinity, torch bf16": lambda given: infinity(given, "bfloat16"),
}
