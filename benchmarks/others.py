"""Against fastembed's TextCrossEncoder and FlashRank on the same ONNX file: pairs/s and scores, interleaved.

    pip install artificer[onnx] fastembed flashrank        (an environment of its own: their pins are theirs)
    python -m benchmarks.others PUBLISHED_FOLDER SENTENCE_PAIRS.jsonl [--variant onnx] [--rounds 5]

Both peers load models by name from the network; here their own classes are given the local file: fastembed by
`add_custom_model` and `specific_model_path`, FlashRank by a cache folder that holds the model under a name it knows.
fastembed returns logits, FlashRank sigmoids; ours are compared in the same form. FlashRank cuts at 512 tokens as we do.
"""

import argparse
import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import artificer
from benchmarks.texts import long_set, short_pairs

PAUSE = 0.1  # seconds: let the other side's spinning threads go to sleep


def by_fastembed(folder: Path, graph: str, scratch: Path, threads: int) -> Callable[[str, list[str]], Any]:
    """Scores of one query's passages."""
    from fastembed.common.model_description import ModelSource
    from fastembed.rerank.cross_encoder import TextCrossEncoder

    name = "local/reranker"
    shutil.copytree(folder, scratch / "model")
    config = json.loads((folder / "tokenizer_config.json").read_text())
    config |= {"model_max_length": 512, "max_length": 512}
    (scratch / "model" / "tokenizer_config.json").write_text(json.dumps(config))
    TextCrossEncoder.add_custom_model(model=name, model_file=graph, sources=ModelSource(hf=name))
    model = TextCrossEncoder(
        name, cache_dir=str(scratch), threads=threads, specific_model_path=str(scratch / "model"), local_files_only=True
    )
    return lambda query, passages: np.array(list(model.rerank(query, passages)))


def by_flashrank(folder: Path, graph: str, scratch: Path) -> Callable[[str, list[str]], Any]:
    """Scores of one query's passages."""
    from flashrank import Ranker, RerankRequest
    from flashrank.Config import model_file_map

    name = "ms-marco-MiniLM-L-12-v2"
    (scratch / name).mkdir()
    for file in ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"):
        shutil.copyfile(folder / file, scratch / name / file)
    shutil.copyfile(folder / graph, scratch / name / model_file_map[name])
    config = json.loads((scratch / name / "tokenizer_config.json").read_text())
    (scratch / name / "tokenizer_config.json").write_text(json.dumps(config | {"model_max_length": 512}))
    ranker = Ranker(model_name=name, cache_dir=str(scratch), max_length=512)

    def score(query: str, passages: list[str]) -> Any:
        rows = ranker.rerank(
            RerankRequest(query=query, passages=[{"id": i, "text": text} for i, text in enumerate(passages)])
        )
        return np.array([row["score"] for row in sorted(rows, key=lambda row: row["id"])])

    return score


def main() -> None:
    """Print one row per peer and text set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("--variant", default="onnx")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    ours = artificer.load(given.folder, variant=given.variant)
    graph = ours.manifest.variant(given.variant).graph
    assert graph is not None
    texts = [passage for _, passage in short_pairs(given.pairs)]
    long = [passage for _, passage in long_set()]
    sets = {"1 x 100 short": texts[:100], "1 x 100 of 20-500 tokens": long}
    print("| peer | what | ratio (median) | min - max over rounds | largest score difference |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
        threads = ours.explain().threads
        peers = {
            "fastembed": (by_fastembed(given.folder, graph, Path(one), threads), "identity"),
            "FlashRank": (by_flashrank(given.folder, graph, Path(two)), "sigmoid"),
        }
        for peer, (score, form) in peers.items():
            for name, passages in sets.items():
                query = "who repairs the broken clock of the harbour master"
                pairs = [(query, passage) for passage in passages]
                gap = np.abs(score(query, passages) - ours.predict(pairs, activation_fn=form)).max()
                ratios = []
                for _ in range(given.rounds):
                    time.sleep(PAUSE)
                    start = time.perf_counter()
                    ours.predict(pairs)
                    mine = time.perf_counter() - start
                    time.sleep(PAUSE)
                    start = time.perf_counter()
                    score(query, passages)
                    ratios.append((time.perf_counter() - start) / mine)
                print(f"| {peer} | {name} | {statistics.median(ratios):.2f}x | {min(ratios):.2f} - {max(ratios):.2f}"
                      f" | {gap:.1e} |", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
