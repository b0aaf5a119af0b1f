"""What fallback recipes do for a trained model with outlier channels, which break int8 with one scale a tensor.

    python -m benchmarks.fallback WORK [CHECKPOINT] [--factors 1 30 200]

For each factor, the first channels of the checkpoint's attention values and queries are made so many times larger, and
what they meet so much smaller: torch's logits stay. Each becomes a model of a clone of this repository, whose building
stages run. Prints, for each int8 variant, every recipe that was tried with its mean difference of scores, which one
won, and what it costs in speed and size.
"""

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.clones import PYTHON, ROOT, add, clone

sys.path.insert(0, str(ROOT))  # for the tests' outliers

from tests.stages.checkpoints import add_outliers

STAGES = (
    "fetch",
    "data",
    "reference",
    "export",
    "quantize_onnx",
    "quantize_openvino",
)
CHANNELS = 4


def build(work: Path, checkpoint: Path, factor: int) -> Path:
    """Run the building stages; the folder of what they made."""
    project, slug = work / "project", f"outliers-{factor}"
    environment = clone(project)
    source = project / "checkpoints" / slug
    shutil.copytree(checkpoint, source)
    if factor > 1:
        add_outliers(add_outliers(source, factor, CHANNELS), factor, CHANNELS, of="queries")
    add(project, environment, source, slug)
    for stage in STAGES:
        subprocess.run([*PYTHON, stage, slug], cwd=project, env=environment, check=True)
    return project / "artifacts/models" / slug


def rows(factor: int, model: Path) -> list[str]:
    """A table row per int8 variant that is not a copy of another."""
    costs: dict[str, Any] = {}
    for runtime in ("onnx", "openvino"):
        costs |= json.loads((model / f"fallback_{runtime}.json").read_text())["variants"]
    found = []
    for path in sorted(model.glob("variants/quantize_*/*/variant.json")):
        record = json.loads(path.read_text())
        if record["alias_of"]:
            continue
        fallback = record["fallback"] or {"attempts": [], "won": "plain", "size_ratio": 1}
        tried = ", ".join(f"{each['recipe']} {each['score_mean_abs']}" for each in fallback["attempts"])
        cost = f"{costs[record['id']]['speed_ratio']:.2f}x" if record["id"] in costs else "-"
        won, size = fallback["won"] or "none", fallback["size_ratio"]
        found.append(f"| {factor} | {record['id']} | {tried or 'plain passed'} | {won} | {cost} | {size or '-'} |")
    return found


def main() -> None:
    """Build each, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("checkpoint", type=Path, nargs="?", default=ROOT / "registry/demo/reranker")
    parser.add_argument("--factors", type=int, nargs="+", default=[1, 30, 200])
    given = parser.parse_args()
    given.work = given.work.resolve()  # the stages run elsewhere
    given.work.mkdir(parents=True, exist_ok=True)
    found = [row for factor in given.factors for row in rows(factor, build(given.work, given.checkpoint, factor))]
    print("| factor | variant | recipe, mean difference of scores | won | speed, times plain | size, times plain |")
    print("|---:|---|---|---|---:|---:|")
    print("\n".join(found))


if __name__ == "__main__":
    main()
